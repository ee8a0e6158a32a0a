"""The kernels that straced is run on, and what is expected of each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kernel:
    """A kernel of the distribution."""

    name: str
    """What it is called here and in the table."""
    suite: str
    package: str
    """The package whose dependencies name the image: ``linux-image-amd64``."""
    architecture: str = "amd64"
    append: str = ""
    """More words of its command line."""
    refused: str = ""
    """Why eBPF cannot serve there, in words of ``straced doctor``; ``""``: it must."""
    wakers: bool = False
    """Run two real-time threads beside that wake every 0.2 ms, one a CPU."""
    userland: str = ""
    """The suite of its userland; ``""``: the machine's own."""

    systemd: bool = False
    """Boot it once more, with systemd as its first process, for the service's unit."""

    @property
    def ebpf(self) -> bool:
        """Whether eBPF must serve there."""
        return not self.refused

    @property
    def image(self) -> str:
        """What its files are kept as: those of the first kernel here that boots the same."""
        return next(each.name for each in KERNELS if (each.suite, each.package) == (self.suite, self.package))


KERNELS = (
    Kernel("5.10", "bullseye", "linux-image-amd64", refused="no task storage"),
    Kernel("6.1", "bookworm", "linux-image-amd64", systemd=True),
    Kernel("6.1-locked", "bookworm", "linux-image-amd64", append="lockdown=confidentiality", refused="locked down"),
    Kernel("6.12", "trixie", "linux-image-amd64"),
    Kernel("7.x-lazy", "trixie-backports", "linux-image-amd64", append="preempt=lazy"),
    Kernel("7.x-full", "trixie-backports", "linux-image-amd64", append="preempt=full", wakers=True),
    Kernel("6.12-arm64", "trixie", "linux-image-arm64", architecture="arm64", userland="trixie"),
)
BY_NAME = {kernel.name: kernel for kernel in KERNELS}
SLICE = "6.1"
"""What is part of the test suite."""
