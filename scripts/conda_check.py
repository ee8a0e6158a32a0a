"""Build packaging/conda/recipe.yaml with rattler-build, from the sdist in dist/, and install and test what comes out.

``python -m scripts.conda_check`` in an environment that has py-rattler-build, of a Python with a prefix of its own (not
Debian's). No channel is asked: one is made here, of this Python and of the packages that the recipe names, from the
package index, each with the name, version and dependencies that it has there. The compiler of the channel is this
machine's. Of the recipe only the address and the hash of the sdist are others.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from importlib import metadata
from pathlib import Path

import rattler_build

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "packaging" / "conda" / "recipe.yaml"
PLATFORM = "linux-64"
LIBRARY = Path(sysconfig.get_path("stdlib"))
SITE = Path("lib") / LIBRARY.name / "site-packages"
ABI = f"{sys.version_info.major}.{sys.version_info.minor}"
LEFT_OUT = shutil.ignore_patterns("site-packages", "dist-packages", "__pycache__", "test", "idlelib", "config-*", "*.a")
VARIANTS = {"c_compiler": ["gcc"], "c_stdlib": ["sysroot"], "c_stdlib_version": ["2.17"], "python": [ABI]}


def package(channel: Path, name: str, version: str, files: Path, depends: list[str]) -> None:
    """Put a package into the channel, and into its index."""
    made = rattler_build.assemble_package(
        name, version, PLATFORM, "0", channel / PLATFORM, files_dir=files, depends=depends, compression_level=1
    )
    data = made.path.read_bytes()
    about = {"name": name, "version": version, "build": "0", "build_number": 0, "depends": depends, "subdir": PLATFORM}
    about |= {"sha256": hashlib.sha256(data).hexdigest(), "md5": hashlib.md5(data).hexdigest(), "size": len(data)}
    for folder, more in ((PLATFORM, {made.path.name: about}), ("noarch", {})):
        index = channel / folder / "repodata.json"
        index.parent.mkdir(exist_ok=True)
        there = json.loads(index.read_text())["packages.conda"] if index.exists() else {}
        index.write_text(json.dumps({"packages": {}, "packages.conda": there | more, "info": {"subdir": folder}}))


def python(channel: Path, folder: Path) -> None:
    """This Python, without what is installed into it."""
    shutil.copytree(LIBRARY, folder / "lib" / LIBRARY.name, ignore=LEFT_OUT, symlinks=True)
    (folder / SITE).mkdir()
    (folder / SITE / "README.txt").write_text("Packages are installed here.\n")
    (folder / "bin").mkdir()
    shutil.copy(Path(sys.base_prefix) / "bin" / f"python{ABI}", folder / "bin")
    for library in (Path(sys.base_prefix) / "lib").glob("libpython*.so*"):
        shutil.copy(library, folder / "lib")
    for name in ("python", "python3"):
        (folder / "bin" / name).symlink_to(f"python{ABI}")
    package(channel, "python", "{}.{}.{}".format(*sys.version_info), folder, [])


def compiler(channel: Path, folder: Path) -> None:
    """This machine's, by the name that a recipe knows it by."""
    script = folder / "etc" / "conda" / "activate.d" / "compiler.sh"
    script.parent.mkdir(parents=True)
    script.write_text(f"export CC={shutil.which('cc')}\n")
    package(channel, f"gcc_{PLATFORM}", "1.0", folder, [])
    package(channel, f"sysroot_{PLATFORM}", "2.17", folder, [])


def from_index(channel: Path, folder: Path, names: list[str]) -> None:
    """Packages with all that they depend on."""
    site = folder / "all"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--target", str(site), *names], check=True)
    for each in metadata.distributions(path=[str(site)]):
        name = each.metadata["Name"].lower().replace("_", "-")
        place = folder / name
        for file in each.files or ():
            if ".." not in file.parts:
                (place / SITE / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(site / file, place / SITE / file)
        plain = [text for text in each.requires or () if ";" not in text]
        depends = [re.sub(r"\[.*?\]", "", text).lower().replace("_", "-") for text in plain]
        spaced = [re.sub(r"^([a-z0-9.-]+)", r"\1 ", text).strip() for text in depends]
        package(channel, name, each.version, place, [f"python {ABI}.*", *spaced])


def main() -> int:
    """Make the channel, build, test, and say what came of it."""
    sdists = sorted((ROOT / "dist").glob("straced-*.tar.gz"), key=lambda path: path.stat().st_mtime)
    if not sdists:
        raise SystemExit("there is no sdist in dist/: scripts/wheels pure")
    text = RECIPE.read_text()
    section = re.search(r"^  host:\n((?:    - .*\n)+)", text, re.MULTILINE)
    assert section is not None
    wanted = [line.strip("- ").replace(" ", "") for line in section[1].splitlines()]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        channel = folder / "channel"
        python(channel, folder / "python")
        compiler(channel, folder / "compiler")
        from_index(channel, folder / "index", [each for each in wanted if not each.startswith("python>")])
        digest = hashlib.sha256(sdists[-1].read_bytes()).hexdigest()
        text = re.sub(r"^  url: .*$", f"  url: {sdists[-1].as_uri()}", text, flags=re.MULTILINE)
        text = re.sub(r"^  sha256: \w+", f"  sha256: {digest}", text, flags=re.MULTILINE)
        recipe = folder / "recipe" / "recipe.yaml"
        recipe.parent.mkdir()
        recipe.write_text(text)
        rattler_build.build_recipes(
            [recipe], channel=[channel.as_uri()], variant_overrides=VARIANTS, output_dir=folder / "out", test="native",
            target_platform=PLATFORM,
        )  # fmt: skip
        for made in (folder / "out" / PLATFORM).glob("straced-*"):
            print(f"built and tested: {made.name}, {made.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
