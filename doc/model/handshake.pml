/* SPDX-License-Identifier: ISC */
/*
 * handshake.pml - attestation inside the TLS 1.3 handshake, then WELCOME.
 *
 *   C -> S  ClientHello         share gc, nonce nc
 *   S -> C  ServerHello         share gs; from here under key(gc, gs):
 *           CertificateRequest  nonce ns
 *           Certificate         leaf{S, server, nc, -, key s} signed by S
 *           CertificateVerify   by key s over all of the above; Finished
 *   C -> S  Certificate         leaf{C, client, ns, S, key c} signed by C
 *           CertificateVerify   by key c over all of the above; Finished
 *   S -> C  WELCOME             after the server's verdict
 *   C -> S  WELCOME             then application bytes both ways
 *
 * README.md says what the intruder may do, which macros break what, and what
 * was found.
 */
#include "common.pml"

#define CLIENT	0
#define SERVER	1

/* How far a session is. */
#define IDLE	0
#define HELLO	1	/* client: ClientHello is out */
#define ISSUED	2	/* own leaf and CertificateVerify are out */
#define JUDGED	3	/* server: verdict, own WELCOME is out */
#define OPEN	4	/* the peer's WELCOME was read: application bytes */

byte node[NS], role[NS], dial[NS], st[NS];

/* The session's view of its peer: share, nonce, leaf. */
byte pg[NS], pn[NS], pl[NS];

/* What a field's absence, or a missing check, looks like. */
#ifdef NO_NONCE
#define NONCE_OK(i)	true
#else
#define NONCE_OK(i)	(f_nonce == i)
#endif
#ifdef NO_ROLE
#define ROLE_OK(r)	true
#else
#define ROLE_OK(r)	(f_role == r)
#endif
#ifdef NO_PEER
#define PEER_OK(n)	true
#else
#define PEER_OK(n)	(f_peer == n)
#endif

/*
 * CertificateVerify by the key in leaf l over session i's transcript, where
 * the peer's share is the intruder's: honest sessions sign only transcripts
 * with their own share.
 */
#ifdef WEAK_TLS
#define CAN_PROVE(l, i)	(OWNED(l) || ((l) < NS && st[l] >= ISSUED))
#else
#define CAN_PROVE(l, i)	OWNED(l)
#endif

/* Both ends of one channel, transcripts equal up to the server's Finished. */
#define CHANNEL(c, s)	(role[c] == CLIENT && role[s] == SERVER && \
			    pg[c] == s && pn[c] == s && pl[c] == s && \
			    pg[s] == c && pn[s] == c)

#ifdef EARLY_WELCOME
#define WELCOMED(s)	(st[s] >= ISSUED)
#else
#define WELCOMED(s)	(st[s] >= JUDGED)
#endif

/*
 * Who knows the channel's keys can compute every field of WELCOME. If keyd
 * signs it, the signature of an honest identity is over the exporter and the
 * leaves of a session of its own, unless keyd signed it for the worker taken
 * over.
 */
#ifdef SIGNED_WELCOME
#ifdef NO_EXPORTER
#define CAN_WELCOME(i)	(pl[i] == L_E || pl[i] == L_LIVE || \
			    (pl[i] < NS && WELCOMED(pl[i]) && \
			    pl[pl[i]] == i))
#else
#define CAN_WELCOME(i)	(pl[i] == L_E || pl[i] == L_LIVE)
#endif
#else
#define CAN_WELCOME(i)	true
#endif

/* What an honest end's WELCOME must say, beyond that it came on the channel. */
#ifdef BARE_WELCOME
#define WELCOME_SAYS(c, s)	(pg[s] == c)
#else
#define WELCOME_SAYS(c, s)	(CHANNEL(c, s) && pl[s] == c)
#endif

#ifdef NO_WELCOME
#define WELCOME_READ(i)	true
#else
#define WELCOME_READ(i)	(pg[i] == X -> CAN_WELCOME(i) : \
			    WELCOMED(pg[i]) && WELCOME_SAYS(i, pg[i]))
#endif

/* The client c and the server s are each other's, and nobody else is. */
#define ALONE_S(c, s)	(!(s != 1 && role[1] == SERVER && pl[1] == c && \
			    st[1] >= JUDGED) && \
			    !(s != 2 && role[2] == SERVER && pl[2] == c && \
			    st[2] >= JUDGED) && \
			    !(s != 3 && role[3] == SERVER && pl[3] == c && \
			    st[3] >= JUDGED))
#define ALONE_C(c, s)	(!(c != 0 && role[0] == CLIENT && pl[0] == s && \
			    st[0] >= ISSUED) && \
			    !(c != 1 && role[1] == CLIENT && pl[1] == s && \
			    st[1] >= ISSUED) && \
			    !(c != 2 && role[2] == CLIENT && pl[2] == s && \
			    st[2] >= ISSUED))
#define AGREE(c, s)	(node[c] != node[s] && dial[c] == node[s] && \
			    CHANNEL(c, s) && pl[s] == c)

/* The name in the leaf that session s, a server, judged. */
#define NAMED(s) \
	(pl[s] < NS -> node[pl[s]] : (pl[s] == L_LIVE -> live_name : \
	    (pl[s] == L_OLD -> OTHER(node[s]) : E)))

/* Session s, a server, believes that an honest client is its peer. */
#define SERVER_AGREES(s, state) \
	assert(!HONEST(NAMED(s)) || TAKEN(NAMED(s), CLIENT, node[s]) || \
	    (pl[s] < NS && AGREE(pl[s], s) && st[pl[s]] >= state && \
	    ALONE_S(pl[s], s)))

/* Session c, a client, sends application bytes to an honest server. */
#define CLIENT_AGREES(c) \
	assert(!HONEST(dial[c]) || TAKEN(dial[c], SERVER, NOBODY) || \
	    (pl[c] < NS && AGREE(c, pl[c]) && st[pl[c]] >= JUDGED && \
	    ALONE_C(c, pl[c])))

/*
 * Proofs that the model gets where it should: REACH makes an error of a
 * session that came to its end, with an honest peer (1 server, 2 client), with
 * the intruder (3, 4), by the worker taken over (5, 6).
 */
#ifndef REACH
#define REACH	0
#endif
#define REACHED_SERVER(s) \
	assert(!(REACH == 1 && pl[s] < NS) && \
	    !(REACH == 3 && pl[s] == L_E) && !(REACH == 5 && pl[s] == L_LIVE))
#define REACHED_CLIENT(c) \
	assert(!(REACH == 2 && pl[c] < NS) && \
	    !(REACH == 4 && pl[c] == L_E) && !(REACH == 6 && pl[c] == L_LIVE))

/* What leaf l says to session i. */
inline open_leaf(l, i)
{
	if
	:: l < NS ->
		f_name = node[l]; f_role = role[l];
		f_nonce = (pn[l] == X -> i : pn[l]);
		f_peer = dial[l]
	:: l == L_LIVE ->
		f_name = live_name; f_role = live_role; f_nonce = i;
		f_peer = live_peer
	:: l == L_OLD ->
		f_name = OTHER(node[i]); f_role = 1 - role[i]; f_nonce = OLD;
		f_peer = (role[i] == SERVER -> node[i] : NOBODY)
	:: l == L_E || l == L_EKEY ->
		f_name = E; f_role = 1 - role[i]; f_nonce = i;
		f_peer = (role[i] == SERVER -> node[i] : NOBODY)
	fi
}

proctype client(byte i)
{
	byte g, n, l;

	atomic {
		if
		:: dial[i] = OTHER(node[i])
		:: dial[i] = E
		fi;
		st[i] = HELLO
	}

	/* The server's flight: an honest server's as it is, or one of E's. */
	atomic {
		if
		:: any_session(g); n = g; l = g
		:: g = X; n = X; any_leaf(l)
		fi;
		open_leaf(l, i);
		if
		:: (g == X -> CAN_PROVE(l, i) :
		    role[g] == SERVER && st[g] >= ISSUED &&
		    pg[g] == i && pn[g] == i) &&
		    f_name == dial[i] && ROLE_OK(SERVER) && NONCE_OK(i) ->
			pg[i] = g; pn[i] = n; pl[i] = l;
			st[i] = ISSUED;
			CLOSE_LEAF;
			g = 0; n = 0; l = 0
		:: else -> goto end
		fi
	}

	/* WELCOME, on this channel and with these leaves. */
	atomic {
		if
		:: WELCOME_READ(i)
		:: goto end
		fi;
		st[i] = OPEN;
		CLIENT_AGREES(i);
		REACHED_CLIENT(i);
end:		CLOSE_LEAF;
		g = 0; n = 0; l = 0
	}
}

proctype server(byte i)
{
	byte g, n, l;

	/* ClientHello: any share with any nonce. */
	atomic {
		if
		:: any_session(g); n = g
		:: any_session(g); n = X
		:: g = X; n = X
		fi;
		if
		:: g == X || (g != i && st[g] >= HELLO) ->
			pg[i] = g; pn[i] = n;
			st[i] = ISSUED;
			g = 0; n = 0
		:: else -> goto end
		fi
	}

	/* The client's flight. */
	atomic {
		any_leaf(l);
		open_leaf(l, i);
		if
		:: (pg[i] == X -> CAN_PROVE(l, i) :
		    l == pg[i] && st[l] >= ISSUED && CHANNEL(l, i)) &&
		    f_name != node[i] && f_name != NOBODY &&
		    ROLE_OK(CLIENT) && NONCE_OK(i) && PEER_OK(node[i]) ->
			pl[i] = l;
			st[i] = JUDGED;
#ifndef SIGNED_WELCOME
			SERVER_AGREES(i, ISSUED);
#endif
			CLOSE_LEAF;
			l = 0
		:: else -> goto end
		fi
	}

	/* The client's WELCOME, sent when it has read ours. */
	atomic {
		if
		:: (pg[i] == X -> CAN_WELCOME(i) : st[pg[i]] == OPEN)
		:: goto end
		fi;
		st[i] = OPEN;
		SERVER_AGREES(i, OPEN);
		REACHED_SERVER(i);
end:		CLOSE_LEAF;
		g = 0; n = 0; l = 0
	}
}

inline session(i, n, r)
{
	node[i] = n; role[i] = r; dial[i] = NOBODY;
	pg[i] = X; pn[i] = X; pl[i] = L_E
}

/* Any worker of this node. */
inline take_over(n)
{
	live_name = n;
	if
	:: live_role = CLIENT; live_peer = E
	:: live_role = CLIENT; live_peer = OTHER(n)
	:: live_role = SERVER; live_peer = NOBODY
	fi
}

init
{
	atomic {
		if
		:: true
#ifndef NO_THEFT
		:: take_over(A)
		:: take_over(B)
#endif
		fi;
		if
		:: live_name != B ->
			session(0, A, CLIENT); session(1, A, SERVER);
			session(2, B, CLIENT); session(3, B, SERVER);
			run client(0); run server(1);
			run client(2); run server(3)
		:: session(0, A, CLIENT); session(1, A, CLIENT);
			session(2, B, SERVER); session(3, B, SERVER);
			run client(0); run client(1);
			run server(2); run server(3)
		fi
	}
}
