"""Process 1 of a node: shapes the node's file system, then only reaps what ends.

Run by `namespace.create` in mount, network and process namespaces of its own. When this process
ends, however it ends, the kernel ends every process of the node, container or not, and takes the
mounts and the network devices with it: nothing can be left over.

Usage: node_init.py STATE_DIRECTORY. Writes STATE_DIRECTORY/node/ready once the node is shaped.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path


def mount(*arguments: str) -> None:
    """Call the mount program."""
    subprocess.run(["mount", *arguments], check=True)


def shape(state: Path) -> None:
    """Give the node its own /proc, /sys, /run, /var/lib and /var/log; share the rest.

    So every component finds its usual paths, and neither the machine nor another node sees them.
    """
    mount("-t", "proc", "proc", "/proc")
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    # /sys/class/net shows the network namespace that sysfs was mounted in; the control groups
    # below it are carried over.
    groups = Path("/run/cgroup")
    groups.mkdir()
    mount("--rbind", "/sys/fs/cgroup", str(groups))
    mount("-t", "sysfs", "sysfs", "/sys")
    mount("--rbind", str(groups), "/sys/fs/cgroup")
    subprocess.run(["umount", "--recursive", "--lazy", str(groups)], check=True)
    groups.rmdir()
    # The state directory lies in /var/lib itself: keep it in sight under its own name.
    node, clusters = state / "node", state.parent
    kept = node / "var-lib" / clusters.name
    kept.mkdir(parents=True)
    mount("--rbind", str(clusters), str(kept))
    mount("--rbind", str(node / "var-lib"), "/var/lib")
    (node / "var-log").mkdir()
    mount("--bind", str(node / "var-log"), "/var/log")
    # The kubelet hands mounts on to containers that ask for propagation.
    mount("--make-rshared", "/")


def prepare_network() -> None:
    """Let the node forward packets between its pods and the machine."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def reap_forever() -> None:
    """Collect the exit codes of orphans."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            pass
        signal.sigwait({signal.SIGCHLD})


def main() -> None:
    """Shape the node and stay."""
    state = Path(sys.argv[1])
    shape(state)
    prepare_network()
    (state / "node" / "ready").touch()
    reap_forever()


if __name__ == "__main__":
    main()
