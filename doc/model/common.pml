/* SPDX-License-Identifier: ISC */
/*
 * common.pml - what the three models share: who there is, what a value is
 * called, and the worker that the intruder has taken over.
 *
 * There are two honest nodes, A and B, and the intruder E, who is a registered
 * node with keys of its own and owns the network. A session (or a call) has a
 * number; its nonce, its Diffie-Hellman share, its one-time leaf key and its
 * leaf are all called by that number and are different sorts of value that
 * the intruder may combine as it likes.
 *
 * X stands for whatever the intruder chose. A nonce that it chose is not
 * decided before it is compared: it fits every challenge, also one that is made
 * later. That gives the intruder more than it can have, and saves the states of
 * every choice.
 */
#define A	0
#define B	1
#define E	2
#define NOBODY	3

#define NS	4		/* honest sessions */
#define X	NS		/* a nonce, share or key that the intruder chose */
#define OLD	(NS + 1)	/* a nonce of a session that is over */

#define OTHER(n)	(1 - (n))
#define HONEST(n)	((n) < E)

/*
 * Leaves by number: those of the sessions, then
 *   L_E     of E's own, which say whatever the intruder wants, over its key;
 *   L_EKEY  of E's own over the one-time key of an honest session, whichever;
 *   L_LIVE  that keyd issued to the worker taken over: name, role and peer are
 *           the worker's, nonce and key the intruder's choice;
 *   L_OLD   of the other honest node for a session with the verifier that is
 *           over, and whose one-time key was stolen afterwards.
 */
#define L_E	(NS)
#define L_LIVE	(NS + 1)
#define L_OLD	(NS + 2)
#define L_EKEY	(NS + 3)

/* The one-time key is the intruder's, or was stolen. */
#ifdef NO_THEFT
#define OWNED(l)	((l) == L_E)
#else
#define OWNED(l)	((l) == L_E || (l) == L_LIVE || (l) == L_OLD)
#endif

/* The worker taken over: whose, in which role, for which peer. */
byte live_name = NOBODY, live_role, live_peer;
#define TAKEN(n, r, p)	(live_name == (n) && live_role == (r) && \
			    live_peer == (p))

/* What a leaf says, while it is looked at. */
byte f_name, f_role, f_nonce, f_peer;

#define CLOSE_LEAF	f_name = 0; f_role = 0; f_nonce = 0; f_peer = 0

inline any_session(x)
{
	if
	:: x = 0
	:: x = 1
	:: x = 2
	:: x = 3
	fi
}

inline any_leaf(x)
{
	if
	:: any_session(x)
	:: x = L_E
	:: x = L_LIVE
	:: x = L_OLD
	:: x = L_EKEY
	fi
}
