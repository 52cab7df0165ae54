# What the batteries of shell share: a check is a command and what it must print. Sourced, not run.

checks=0 failures=0

# says TEXT COMMAND...: the command succeeds and prints TEXT somewhere.
says() {
  local wanted=$1 out
  shift
  checks=$((checks + 1))
  if ! out=$("$@" 2>&1); then
    failures=$((failures + 1))
    printf 'FAILED   %s\n  it ended with an error: %s\n' "$*" "$out"
  elif [[ $out != *"$wanted"* ]]; then
    failures=$((failures + 1))
    printf 'DIFFERS  %s\n  wanted:  %s\n  printed: %s\n' "$*" "$wanted" "$out"
  fi
}

# is TEXT COMMAND...: the command succeeds and prints exactly TEXT.
is() {
  local wanted=$1 out
  shift
  checks=$((checks + 1))
  if ! out=$("$@" 2>&1); then
    failures=$((failures + 1))
    printf 'FAILED   %s\n  it ended with an error: %s\n' "$*" "$out"
  elif [[ $out != "$wanted" ]]; then
    failures=$((failures + 1))
    printf 'DIFFERS  %s\n  wanted:  %s\n  printed: %s\n' "$*" "$wanted" "$out"
  fi
}

# refuses TEXT COMMAND...: the command fails and prints TEXT somewhere.
refuses() {
  local wanted=$1 out
  shift
  checks=$((checks + 1))
  if out=$("$@" 2>&1); then
    failures=$((failures + 1))
    printf 'ACCEPTED %s\n  wanted:  %s\n  printed: %s\n' "$*" "$wanted" "$out"
  elif [[ $out != *"$wanted"* ]]; then
    failures=$((failures + 1))
    printf 'DIFFERS  %s\n  wanted:  %s\n  printed: %s\n' "$*" "$wanted" "$out"
  fi
}

# soon TEXT COMMAND...: within 20 seconds the command prints exactly TEXT.
soon() {
  local wanted=$1 out end=$((SECONDS + 20))
  shift
  checks=$((checks + 1))
  while out=$("$@" 2>&1) || true; [[ $out != "$wanted" ]]; do
    if ((SECONDS >= end)); then
      failures=$((failures + 1))
      printf 'NEVER    %s\n  wanted:  %s\n  printed: %s\n' "$*" "$wanted" "$out"
      return
    fi
    sleep 0.2
  done
}

# verdict NAME: prints the counts and ends with their verdict.
verdict() {
  printf '%s: %s checks, %s failed\n' "$1" "$checks" "$failures"
  ((failures == 0))
}
