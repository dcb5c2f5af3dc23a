#!/bin/sh
# generate.sh OUT: generates Python code for the contract into a folder.
set -eu
proto=$(dirname "$0")/../../proto
mkdir -p "$1"
find "$proto/muster" -name '*.proto' -exec "${PYTHON:-python}" -m grpc_tools.protoc -I "$proto" --python_out="$1" --grpc_python_out="$1" {} +
