#!/usr/bin/env python3
"""Makes sure that the Python tools of the tests are there: the emulator, the AWS CLI, cfn-lint.

Where one of them cannot be imported, pip installs what requirements.txt names into .build/venv, whose
programs the Makefile puts first on the PATH.
"""
import importlib.util
import pathlib
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).resolve().parent
VENV = HERE.parent / ".build" / "venv"
MODULES = ["moto", "boto3", "samtranslator", "cfnlint", "awscli", "flask", "yaml"]


def main() -> int:
    missing = [name for name in MODULES if importlib.util.find_spec(name) is None]
    if not missing:
        return 0
    if not (VENV / "installed").exists():
        print(f"installing {', '.join(missing)} into {VENV}", file=sys.stderr)
        venv.create(VENV, with_pip=True, clear=True)
        subprocess.run([VENV / "bin" / "pip", "install", "--quiet", "-r", HERE / "requirements.txt"], check=True)
        (VENV / "installed").touch()
    return 0


if __name__ == "__main__":
    sys.exit(main())
