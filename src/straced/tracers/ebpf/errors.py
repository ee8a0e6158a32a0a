"""Why eBPF cannot serve, as types."""

from __future__ import annotations

from straced.errors import TracerUnavailable


class EbpfUnavailable(TracerUnavailable):
    """eBPF cannot serve here; the subclass says what is missing."""

    code = "ebpf_unavailable"


class EbpfNotPermitted(EbpfUnavailable):
    """Neither root nor CAP_BPF with CAP_PERFMON; or a filter refuses bpf(2)."""

    code = "ebpf_not_permitted"


class EbpfNoBtf(EbpfUnavailable):
    """The kernel has no BTF."""

    code = "ebpf_no_btf"


class EbpfNoLibrary(EbpfUnavailable):
    """There is no libbpf.so.1, or one that is too old."""

    code = "ebpf_no_library"


class EbpfLockedDown(EbpfUnavailable):
    """The kernel is locked down."""

    code = "ebpf_locked_down"


class EbpfTooOld(EbpfUnavailable):
    """A kernel or a machine that the programs were not made for."""

    code = "ebpf_too_old"


class EbpfBroken(EbpfUnavailable):
    """All is there, and still the kernel refused."""

    code = "ebpf_broken"
