#!/usr/bin/env python3
"""Provides the Python tools of the tests: what requirements.txt names.

Where they are installed already, nothing is done. Else they are installed into .build/venv, which the Makefile puts
first on the PATH.
"""
import importlib.metadata
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(os.path.dirname(HERE), ".build", "venv")
REQUIREMENTS = os.path.join(HERE, "requirements.txt")
MOTO = "5.2.1"
DISTRIBUTIONS = ("boto3", "awscli", "cfn-lint", "aws-sam-translator", "flask", "antlr4-python3-runtime")
COMMANDS = ("aws", "cfn-lint", "moto_server")


def missing():
    """What of the tools this interpreter does not have."""
    wanting = [command for command in COMMANDS if shutil.which(command) is None]
    for name in DISTRIBUTIONS:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            wanting.append(name)
    try:
        version = importlib.metadata.version("moto")
    except importlib.metadata.PackageNotFoundError:
        version = "none"
    if version != MOTO:
        wanting.append(f"moto {MOTO} (found: {version})")
    return wanting


def main():
    if not missing():
        return
    print("installing into .build/venv:", ", ".join(missing()))
    if not os.path.exists(os.path.join(VENV, "bin", "python3")):
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    subprocess.run([os.path.join(VENV, "bin", "python3"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                    "-r", REQUIREMENTS], check=True)


if __name__ == "__main__":
    main()
