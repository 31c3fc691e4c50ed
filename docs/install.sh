#!/usr/bin/env bash
# Installs Tagboat, and installs it again over itself: every step looks at what is there first. docs/install.md
# walks through it.
set -euo pipefail

usage() {
  cat <<'HELP'
usage: docs/install.sh [STEP …]

Without a step, all of them in this order; a step that has nothing to do says so. Each can be run by itself, and again.
Several are checked first: that every tool is installed and, if the step registry is among them, that the registry is valid.

  secrets    the webhook's secret, generated, and the credentials for GitHub, in Secrets Manager
  build      sam build
  deploy     sam deploy: Tagboat itself, in the tools account
  outputs    what the stack is called by: the webhook's address, the buckets
  regions    the staging bucket of each further region
  targets    the role in each target account, one profile after the other
  stackset   the role in many target accounts at once, by StackSets
  registry   check the registry and put it in force
  webhook    the webhook of each repository, or of the organization, at GitHub
  doctor     tagboat doctor: does everything fit together?

Variables (set them in a file and run: set -a; . ./install.env; set +a; docs/install.sh):

  TOOLS_ACCOUNT        id of the account that Tagboat runs in; your AWS credentials have to be this account's
  HOME_REGION          its region
  STACK                name of the stack                                                     [tagboat]
  MORE_REGIONS         further regions, separated by spaces
  GITHUB_CREDENTIALS   file with a token, or with the JSON of a GitHub App; needed until its secret is there
  TARGETS              target accounts, separated by spaces, each as ACCOUNT:PROFILE:EXTERNAL_ID
  FUNCTION_NAMES       the functions that may be released there, with commas, * being any text
  STACKSET_ACCOUNTS    target accounts of the stack set, separated by spaces
  STACKSET_OUS         the organizational units that they are in, separated by spaces
  STACKSET_EXTERNAL_ID external_id of their environments
  STACKSET_CALL_AS     SELF in the management account, or DELEGATED_ADMIN                    [SELF]
  REGISTRY             the registry's file                                                   [registry.yaml]
  REPOSITORIES         repositories that get the webhook, as OWNER/NAME, separated by spaces
  ORGANIZATION         or the organization that does

Parameters of template.yaml; one that is not set keeps its value, or its default:

  GITHUB_API_URL TARGET_ROLE_NAME ORGANIZATION_ID ALARM_TOPIC_ARN EVENT_BUS_NAME NOTIFY LOG_RETENTION_DAYS
HELP
}

STACK=${STACK:-tagboat}
HOME_REGION=${HOME_REGION:-}
TOOLS_ACCOUNT=${TOOLS_ACCOUNT:-}
MORE_REGIONS=${MORE_REGIONS:-}
GITHUB_CREDENTIALS=${GITHUB_CREDENTIALS:-}
TARGETS=${TARGETS:-}
FUNCTION_NAMES=${FUNCTION_NAMES:-}
STACKSET_ACCOUNTS=${STACKSET_ACCOUNTS:-}
STACKSET_OUS=${STACKSET_OUS:-}
STACKSET_EXTERNAL_ID=${STACKSET_EXTERNAL_ID:-}
STACKSET_CALL_AS=${STACKSET_CALL_AS:-SELF}
REGISTRY=${REGISTRY:-registry.yaml}
REPOSITORIES=${REPOSITORIES:-}
ORGANIZATION=${ORGANIZATION:-}
GITHUB_API_URL=${GITHUB_API_URL:-}
TARGET_ROLE_NAME=${TARGET_ROLE_NAME:-}
ORGANIZATION_ID=${ORGANIZATION_ID:-}
ALARM_TOPIC_ARN=${ALARM_TOPIC_ARN:-}
EVENT_BUS_NAME=${EVENT_BUS_NAME:-}
NOTIFY=${NOTIFY:-}
LOG_RETENTION_DAYS=${LOG_RETENTION_DAYS:-}
# Seconds between two looks at a stack set that is being changed.
STACKSET_POLL=${STACKSET_POLL:-10}

STEPS="secrets build deploy outputs regions targets stackset registry webhook doctor"

say() { printf '%s\n' "install: $*" >&2; }

fail() {
  say "$*"
  exit 1
}

# need VARIABLE… ends the script where one of them is empty.
need() {
  local name
  for name in "$@"; do
    [ -n "${!name}" ] || fail "$name is not set; see docs/install.sh --help"
  done
}

# have TOOL… ends the script where one of them is missing.
have() {
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null || fail "$tool is not installed; see docs/install.md, Before you begin"
  done
}

# account_is ACCOUNT [AWS OPTION…] ends the script where the credentials are another account's.
account_is() {
  local want=$1 got
  shift
  got=$(aws sts get-caller-identity --query Account --output text "$@")
  [ "$got" = "$want" ] || fail "these AWS credentials${*:+ ($*)} are of account $got, want $want"
}

in_tools_account() {
  have aws
  need TOOLS_ACCOUNT HOME_REGION STACK
  account_is "$TOOLS_ACCOUNT"
}

# accounts TARGET… prints the ids of target accounts, with commas.
accounts() {
  local target ids=""
  for target in "$@"; do
    ids=${ids:+$ids,}${target%%:*}
  done
  printf '%s' "$ids"
}

# target_accounts prints those of all of them.
target_accounts() {
  # shellcheck disable=SC2086 # they are lists of words
  accounts $TARGETS $STACKSET_ACCOUNTS
}

# parameters NAME VALUE … fills the array overrides with NAME=VALUE for each value that is not empty.
parameters() {
  overrides=()
  while [ $# -gt 0 ]; do
    [ -z "$2" ] || overrides+=("$1=$2")
    shift 2
  done
}

# secret_arn NAME prints the ARN of a secret, or nothing.
secret_arn() {
  aws secretsmanager describe-secret --region "$HOME_REGION" --secret-id "$1" --query ARN --output text 2>/dev/null || true
}

# make_secret NAME FILE keeps what the file holds. It is never an argument, which others could see.
make_secret() {
  aws secretsmanager create-secret --region "$HOME_REGION" --name "$1" --secret-string "file://$2" --query ARN --output text
}

step_secrets() {
  in_tools_account
  local webhook github
  webhook=$(secret_arn "$STACK/webhook")
  github=$(secret_arn "$STACK/github")
  if [ -z "$github" ]; then # before the other is made
    need GITHUB_CREDENTIALS
    [ -s "$GITHUB_CREDENTIALS" ] || fail "GITHUB_CREDENTIALS names $GITHUB_CREDENTIALS, which is no file or empty"
  fi
  if [ -n "$webhook" ]; then
    say "secret $STACK/webhook is there and stays as it is"
  else
    have openssl
    new_secret=$(mktemp) # mktemp makes it readable by its owner alone
    trap 'rm -f "$new_secret"' EXIT
    openssl rand -hex 32 >"$new_secret"
    make_secret "$STACK/webhook" "$new_secret"
    rm -f "$new_secret"
  fi
  if [ -n "$github" ]; then
    say "secret $STACK/github is there and stays as it is"
  else
    make_secret "$STACK/github" "$GITHUB_CREDENTIALS"
    say "$GITHUB_CREDENTIALS is not needed any more: delete it"
  fi
}

step_build() {
  have sam go make
  sam build
}

step_deploy() {
  have sam
  in_tools_account
  local targets webhook github overrides
  [ -s .aws-sam/build/template.yaml ] || fail "nothing is built; run the step build"
  targets=$(target_accounts)
  [ -n "$targets" ] || fail "neither TARGETS nor STACKSET_ACCOUNTS is set: there is no account to release to"
  webhook=$(secret_arn "$STACK/webhook")
  github=$(secret_arn "$STACK/github")
  if [ -z "$webhook" ] || [ -z "$github" ]; then
    fail "the secrets $STACK/webhook and $STACK/github are not both there; run the step secrets"
  fi
  parameters WebhookSecretArn "$webhook" GitHubSecretArn "$github" TargetAccounts "$targets" \
    GitHubApiUrl "$GITHUB_API_URL" TargetRoleName "$TARGET_ROLE_NAME" OrganizationId "$ORGANIZATION_ID" \
    AlarmTopicArn "$ALARM_TOPIC_ARN" EventBusName "$EVENT_BUS_NAME" Notify "$NOTIFY" LogRetentionDays "$LOG_RETENTION_DAYS"
  sam deploy --region "$HOME_REGION" --stack-name "$STACK" --resolve-s3 --capabilities CAPABILITY_NAMED_IAM \
    --no-confirm-changeset --no-fail-on-empty-changeset --parameter-overrides "${overrides[@]}"
}

# output NAME prints an output of Tagboat's stack.
output() {
  local value
  value=$(aws cloudformation describe-stacks --region "$HOME_REGION" --stack-name "$STACK" \
    --query "Stacks[0].Outputs[?OutputKey=='$1'].OutputValue" --output text)
  if [ -z "$value" ] || [ "$value" = None ]; then
    fail "stack $STACK has no output $1; run the step deploy"
  fi
  printf '%s' "$value"
}

step_outputs() {
  in_tools_account
  local name value
  for name in WebhookUrl StateBucketName UploadsBucketName LedgerTableName StateMachineArn; do
    value=$(output "$name")
    printf '%-18s %s\n' "$name" "$value"
  done
}

step_regions() {
  if [ -z "$MORE_REGIONS" ]; then
    say "MORE_REGIONS is empty: no further regions"
    return
  fi
  in_tools_account
  local region overrides
  parameters ToolsStack "$STACK" TargetAccounts "$(target_accounts)" TargetRoleName "$TARGET_ROLE_NAME" OrganizationId "$ORGANIZATION_ID"
  for region in $MORE_REGIONS; do
    aws cloudformation deploy --region "$region" --stack-name "$STACK-region" --template-file iam/region.yaml \
      --no-fail-on-empty-changeset --parameter-overrides "${overrides[@]}"
  done
}

# role_name is that of the role in target accounts; TARGET_ROLE_NAME may be a pattern, and then says none.
role_name() {
  case $TARGET_ROLE_NAME in
    *'*'*) fail "TARGET_ROLE_NAME is a pattern, $TARGET_ROLE_NAME: make these roles with a RoleName of each account's own (docs/install.md)" ;;
    *) printf '%s' "$TARGET_ROLE_NAME" ;;
  esac
}

step_targets() {
  if [ -z "$TARGETS" ]; then
    say "TARGETS is empty: no account by its profile"
    return
  fi
  have aws
  need TOOLS_ACCOUNT HOME_REGION STACK FUNCTION_NAMES
  local target account profile external role overrides
  role=$(role_name)
  for target in $TARGETS; do
    IFS=: read -r account profile external <<<"$target"
    if [ -z "$profile" ] || [ -z "$external" ]; then
      fail "TARGETS has $target, want ACCOUNT:PROFILE:EXTERNAL_ID"
    fi
    account_is "$account" --profile "$profile"
    parameters ToolsAccount "$TOOLS_ACCOUNT" ToolsStack "$STACK" ExternalId "$external" FunctionNames "$FUNCTION_NAMES" RoleName "$role"
    aws cloudformation deploy --profile "$profile" --region "$HOME_REGION" --stack-name "$STACK-target" \
      --template-file iam/target-account.yaml --capabilities CAPABILITY_NAMED_IAM \
      --no-fail-on-empty-changeset --parameter-overrides "${overrides[@]}"
  done
}

# as_json NAME=VALUE … prints them as CloudFormation's API takes parameters; no value has a quote or a backslash.
as_json() {
  local pair list=""
  for pair in "$@"; do
    list="${list:+$list,}{\"ParameterKey\":\"${pair%%=*}\",\"ParameterValue\":\"${pair#*=}\"}"
  done
  printf '[%s]' "$list"
}

# stack_set VERB [OPTION …] asks CloudFormation about the stack set.
stack_set() {
  local verb=$1
  shift
  aws cloudformation "$verb" --region "$HOME_REGION" --stack-set-name "$STACK-target" --call-as "$STACKSET_CALL_AS" "$@"
}

# settled OPERATION waits until an operation on the stack set has ended, and ends the script if it failed.
settled() {
  local status
  while :; do
    status=$(stack_set describe-stack-set-operation --operation-id "$1" --query StackSetOperation.Status --output text)
    case $status in
      SUCCEEDED) return ;;
      RUNNING | QUEUED | STOPPING) sleep "$STACKSET_POLL" ;;
      *) fail "operation $1 on stack set $STACK-target ended $status; aws cloudformation list-stack-set-operation-results tells why" ;;
    esac
  done
}

# quoted WORD… prints them as the items of a JSON array; none has a quote or a backslash.
quoted() {
  local word list=""
  for word in "$@"; do
    list="${list:+$list,}\"$word\""
  done
  printf '[%s]' "$list"
}

# deployment_targets prints which accounts of which units, as CloudFormation's API takes them.
deployment_targets() {
  # shellcheck disable=SC2086 # they are lists of words
  printf '{"OrganizationalUnitIds":%s,"Accounts":%s,"AccountFilterType":"INTERSECTION"}' \
    "$(quoted $STACKSET_OUS)" "$(quoted $STACKSET_ACCOUNTS)"
}

step_stackset() {
  if [ -z "$STACKSET_ACCOUNTS" ]; then
    say "STACKSET_ACCOUNTS is empty: no stack set"
    return
  fi
  # A stack set belongs to the organization: its credentials may be another account's than Tagboat's.
  have aws
  need TOOLS_ACCOUNT HOME_REGION STACK FUNCTION_NAMES STACKSET_OUS STACKSET_EXTERNAL_ID
  local role overrides operation
  role=$(role_name)
  parameters ToolsAccount "$TOOLS_ACCOUNT" ToolsStack "$STACK" ExternalId "$STACKSET_EXTERNAL_ID" FunctionNames "$FUNCTION_NAMES" RoleName "$role"
  set -- --template-body file://iam/target-account.yaml --capabilities CAPABILITY_NAMED_IAM --permission-model SERVICE_MANAGED \
    --auto-deployment Enabled=false --parameters "$(as_json "${overrides[@]}")"
  if [ -n "$(stack_set describe-stack-set --query StackSet.StackSetName --output text 2>/dev/null || true)" ]; then
    operation=$(stack_set update-stack-set "$@" --query OperationId --output text)
    settled "$operation"
  else
    stack_set create-stack-set "$@"
  fi
  operation=$(stack_set create-stack-instances --regions "$HOME_REGION" --query OperationId --output text \
    --deployment-targets "$(deployment_targets)")
  settled "$operation"
}

# check_registry ends the script where the registry is missing or wrong.
check_registry() {
  have tagboat
  [ -s "$REGISTRY" ] || fail "REGISTRY names $REGISTRY, which is no file or empty; tagboat init --registry-only writes one"
  tagboat validate "$REGISTRY" || fail "the registry $REGISTRY is not valid; docs/files.md describes every field"
}

step_registry() {
  check_registry
  in_tools_account
  local bucket
  bucket=$(output StateBucketName)
  aws s3 cp --region "$HOME_REGION" "$REGISTRY" "s3://$bucket/config/registry.yaml"
}

# hook OWNER makes the webhook of repos/OWNER/NAME or orgs/NAME, or mends the one that has this address.
hook() {
  local id body
  id=$(gh api --paginate "$1/hooks" --jq ".[] | select(.config.url == \"$url\") | .id")
  body=$(printf '{"name":"web","active":true,"events":["push","create","release"],"config":{"url":"%s","content_type":"json","insecure_ssl":"0","secret":"%s"}}' "$url" "$secret")
  if [ -n "$id" ]; then
    gh api --silent --method PATCH "$1/hooks/$id" --input - <<<"$body"
    say "the webhook of $1 is up to date"
  else
    gh api --silent --method POST "$1/hooks" --input - <<<"$body"
    say "$1 has its webhook"
  fi
}

step_webhook() {
  if [ -z "$REPOSITORIES$ORGANIZATION" ]; then
    say "REPOSITORIES and ORGANIZATION are empty: no webhook, as with a GitHub App that has its own (docs/install.md)"
    return
  fi
  have gh
  in_tools_account
  local url secret repository
  url=$(output WebhookUrl)
  secret=$(aws secretsmanager get-secret-value --region "$HOME_REGION" --secret-id "$STACK/webhook" --query SecretString --output text)
  [[ $secret =~ ^[A-Za-z0-9_.~+/=-]+$ ]] || fail "secret $STACK/webhook is empty or has characters that JSON would change; choose letters and digits"
  for repository in $REPOSITORIES; do
    hook "repos/$repository"
  done
  [ -z "$ORGANIZATION" ] || hook "orgs/$ORGANIZATION"
}

step_doctor() {
  have tagboat
  in_tools_account
  tagboat doctor --stack "$STACK" --region "$HOME_REGION"
}

# check_ahead STEP… ends the script before the first step where a later one would end it, with half an installation
# made: for a tool that is missing, or for the registry.
check_ahead() {
  local step
  for step in "$@"; do
    case $step in
      build) have sam go make ;;
      deploy) have sam aws ;;
      registry) check_registry ;;
      webhook) [ -z "$REPOSITORIES$ORGANIZATION" ] || have gh ;;
      doctor) have tagboat ;;
    esac
  done
}

main() {
  local step
  case ${1:-} in
    -h | --help | help)
      usage
      return
      ;;
  esac
  # shellcheck disable=SC2086 # it is a list of words
  [ $# -gt 0 ] || set -- $STEPS
  for step in "$@"; do
    case " $STEPS " in
      *" $step "*) ;;
      *) fail "there is no step $step; there are: $STEPS" ;;
    esac
  done
  # Files are named from where the script is called; the templates from the repository.
  case $REGISTRY in /*) ;; *) REGISTRY=$PWD/$REGISTRY ;; esac
  case $GITHUB_CREDENTIALS in '' | /*) ;; *) GITHUB_CREDENTIALS=$PWD/$GITHUB_CREDENTIALS ;; esac
  cd "$(dirname "${BASH_SOURCE[0]}")/.."
  [ $# -eq 1 ] || check_ahead "$@"
  for step in "$@"; do
    say "== $step"
    "step_$step"
  done
}

main "$@"
