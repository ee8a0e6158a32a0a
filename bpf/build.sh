#!/bin/sh
# Builds the objects that ship in the package, and notes what it was built with.
#   bpf/build.sh [FOLDER [NAME...]]     default: all, to src/straced/tracers/ebpf; of some alone there are no notes
# The same clang gives the same bytes wherever the tree stands; needs clang, llvm, bpftool and libbpf's headers.
# CLANG names another one than the clang on PATH.
set -eu
clang=${CLANG:-clang}
here=$(cd "$(dirname "$0")" && pwd)
out=$(mkdir -p "${1:-$here/../src/straced/tracers/ebpf}" && cd "${1:-$here/../src/straced/tracers/ebpf}" && pwd)
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
cd "$here"
[ $# -gt 1 ] && shift && some=yes || { some=; set -- profiler recorder recorder_user details starts preemption wakes uring; }
pids=
for name in "$@"; do
	(
		"$clang" -g -O2 -mcpu=v3 -target bpf -Wall -Werror -Wno-unused-function -Wno-visibility \
			-ffile-prefix-map="$here"=. -fdebug-compilation-dir=. -c "$name.bpf.c" -o "$temporary/$name.compiled.o"
		llvm-strip -g "$temporary/$name.compiled.o"
		bpftool gen object "$temporary/$name.linked.o" "$temporary/$name.compiled.o"
		mv "$temporary/$name.linked.o" "$out/$name.bpf.o"
	) &
	pids="$pids $!"
done
for pid in $pids; do wait "$pid"; done
[ -z "$some" ] || exit 0
{
	echo "profiler.bpf.o is built from bpf/ by bpf/build.sh; it is the same object for x86-64 and arm64 (there: emulated)."
	echo "clang: $("$clang" --version | head -n 1)"
	echo "bpftool: $(bpftool version | tr '\n' ' ')"
	echo "sources: $(cat ./*.h ./profiler.bpf.c ./recorder.bpf.c ./recorder_user.bpf.c ./details.bpf.c | sha256sum | cut -d ' ' -f 1)"
	echo "object: $(sha256sum <"$out/profiler.bpf.o" | cut -d ' ' -f 1)"
	echo "details: $(sha256sum <"$out/details.bpf.o" | cut -d ' ' -f 1)"
	echo "recorder: $(sha256sum <"$out/recorder.bpf.o" | cut -d ' ' -f 1)"
	echo "recorder_user: $(sha256sum <"$out/recorder_user.bpf.o" | cut -d ' ' -f 1)"
} >"$out/profiler.bpf.o.txt"
