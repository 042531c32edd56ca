# Sourced by tests/run and benches/run. Collects the missing programs, then installs them. As root on Debian it uses
# apt-get. Elsewhere it prints what to install.
missing=()

need() { # program, Debian package
  command -v "$1" >/dev/null || missing+=("$2")
}

install_missing() { # minimum Rust version
  python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
  if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
      export DEBIAN_FRONTEND=noninteractive
      apt-get update -qq
      apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    else
      echo "missing: install ${missing[*]}; on Debian: sudo apt-get install -y ${missing[*]}" >&2
      exit 1
    fi
  fi
  command -v cargo >/dev/null || {
    echo "missing: install Rust $1 or newer, see https://rustup.rs" >&2
    exit 1
  }
}
