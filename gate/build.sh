#!/bin/sh
# Builds the gates that ship in the package, one for each architecture, and notes what they were built with.
#   gate/build.sh [FOLDER]     default: src/straced/gating
# The same clang and lld give the same bytes wherever the tree stands; no C library and no headers of one are needed.
# CLANG names another one than the clang on PATH.
set -eu
clang=${CLANG:-clang}
here=$(cd "$(dirname "$0")" && pwd)
out=$(mkdir -p "${1:-$here/../src/straced/gating}" && cd "${1:-$here/../src/straced/gating}" && pwd)
cd "$here"
for machine in x86_64 aarch64; do
	"$clang" --target="$machine-linux-gnu" -std=gnu11 -Os -Wall -Wextra -Werror \
		-ffreestanding -fno-stack-protector -fno-pie -fno-asynchronous-unwind-tables -fno-ident \
		-nostdlib -static -fuse-ld=lld -Wl,--build-id=none,--strip-all gate.c -o "$out/gate.$machine"
	chmod 755 "$out/gate.$machine"
done
{
	echo "gate.x86_64 and gate.aarch64 are built from gate/ by gate/build.sh."
	echo "clang: $("$clang" --version | head -n 1)"
	echo "lld: $("$("$clang" -print-prog-name=ld.lld)" --version | head -n 1)"
	echo "sources: $(cat ./*.h ./gate.c | sha256sum | cut -d ' ' -f 1)"
	for machine in x86_64 aarch64; do
		echo "$machine: $(sha256sum <"$out/gate.$machine" | cut -d ' ' -f 1)"
	done
} >"$out/gate.txt"
