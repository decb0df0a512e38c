#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A log that was set back, with everything that its own machine knows of it,
is found by the peers that it had been shown to: both ends say so."""

import os
import shutil

from claw_test import equal, main, ok, test, wait_for
from mesh_test import Peer, member


def copy_of(node):
    """All of a stopped node, as a thorough intruder would keep it."""
    kept = node.dir + ".kept"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(node.dir, kept, symlinks=True,
                    copy_function=shutil.copy2)
    for folder, names, files in os.walk(node.dir):
        for name in names + files:
            path = os.path.join(folder, name)
            st = os.lstat(path)
            os.chown(path.replace(node.dir, kept, 1), st.st_uid, st.st_gid,
                     follow_symlinks=False)
    st = os.stat(node.dir)
    os.chown(kept, st.st_uid, st.st_gid)
    return kept


@test("a log set back as a whole is found by a peer, and the node is told")
def set_back():
    with Peer("alpha") as alpha:
        with member(alpha, "beta") as beta:
            alpha.wait_links("beta")
            alpha.stop()
            kept = copy_of(alpha)
            alpha.start()
            for n in range(5):
                alpha.claw("audit:note", "note %d" % n, check=True)
            alpha.wait_links("beta")
            # beta has seen a checkpoint that has them.
            def seen():
                beta.ping("alpha")
                path = os.path.join(beta.dir, "data", "registry",
                                    "checkpoint.alpha")
                if not os.path.exists(path):
                    return False
                with open(path) as f:
                    return int(f.read().split("\n")[1]) > 12
            wait_for(seen, 20)
            equal(beta.events("log.alarm"), [], "before")
            alpha.stop()
            shutil.rmtree(alpha.dir)
            os.rename(kept, alpha.dir)
            since = beta.since()
            alpha.start()
            alpha.wait_links("beta")
            act = beta.wait_event("log.alarm", since, peer="alpha",
                                  reason="its log was set back")
            ok("records in" in act["reason"], act)
            alpha.wait_event("log.alarm", peer="beta",
                             reason="our log was set back")
            alpha.wait_log("our log was set back")


if __name__ == "__main__":
    main()
