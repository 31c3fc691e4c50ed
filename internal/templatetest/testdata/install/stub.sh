#!/bin/sh
# Stands for sam, aws, gh and tagboat where docs/install.sh is tested: records each call in $WORLD/record, a line each, and
# keeps what the calls make as files in $WORLD. What is to fail has a file in $WORLD/fails.
set -eu
tool=$(basename "$0")
{
  printf '%s' "$tool"
  for argument in "$@"; do printf '\t%s' "$argument"; done
  printf '\n'
} >>"$WORLD/record"

# after FLAG prints the argument after it.
after() {
  wanted=$1
  shift
  while [ $# -gt 1 ]; do
    if [ "$1" = "$wanted" ]; then
      printf '%s' "$2"
      return
    fi
    shift
  done
}

keep() {
  mkdir -p "$(dirname "$WORLD/$1")"
  cat >"$WORLD/$1"
}

arn() { echo "arn:aws:secretsmanager:us-east-1:999999999999:secret:$1-a1b2c3"; }

if [ -e "$WORLD/fails/$tool-$1" ]; then
  echo "$tool $1 failed" >&2
  exit 1
fi

case "$tool $1 ${2:-}" in
"aws sts get-caller-identity")
  profile=$(after --profile "$@")
  if [ -n "$profile" ] && [ -e "$WORLD/accounts/$profile" ]; then
    cat "$WORLD/accounts/$profile"
  else
    case $profile in
    dev) echo 111111111111 ;;
    prod) echo 222222222222 ;;
    *) echo 999999999999 ;;
    esac
  fi
  ;;
"aws secretsmanager describe-secret")
  name=$(after --secret-id "$@")
  [ -e "$WORLD/secrets/$name" ] || {
    echo "An error occurred (ResourceNotFoundException)" >&2
    exit 254
  }
  arn "$name"
  ;;
"aws secretsmanager create-secret")
  name=$(after --name "$@")
  file=$(after --secret-string "$@")
  keep "secrets/$name" <"${file#file://}"
  arn "$name"
  ;;
"aws secretsmanager get-secret-value")
  cat "$WORLD/secrets/$(after --secret-id "$@")"
  ;;
"aws cloudformation describe-stacks")
  [ -e "$WORLD/deployed" ] || exit 254
  key=$(after --query "$@" | sed "s/.*OutputKey=='\([^']*\)'.*/\1/")
  cat "$WORLD/outputs/$key"
  ;;
"aws cloudformation describe-stack-set")
  [ -e "$WORLD/stackset" ] || exit 254
  echo boat-target
  ;;
"aws cloudformation create-stack-set") : >"$WORLD/stackset" ;;
"aws cloudformation update-stack-set" | "aws cloudformation create-stack-instances")
  rm -f "$WORLD/looked"
  echo an-operation
  ;;
"aws cloudformation describe-stack-set-operation")
  if [ ! -e "$WORLD/looked" ]; then
    : >"$WORLD/looked"
    echo RUNNING
  elif [ -e "$WORLD/operation" ]; then
    cat "$WORLD/operation"
  else
    echo SUCCEEDED
  fi
  ;;
"sam build "*)
  mkdir -p .aws-sam/build
  cp template.yaml .aws-sam/build/template.yaml
  ;;
"sam deploy "*) : >"$WORLD/deployed" ;;
"gh api "*)
  for argument in "$@"; do
    case $argument in */hooks | */hooks/*) path=$argument ;; esac
  done
  if [ -n "$(after --input "$@")" ]; then
    keep "hooks/${path%/hooks*}"
  elif [ -e "$WORLD/hooks/${path%/hooks}" ]; then
    echo 1
  fi
  ;;
esac
