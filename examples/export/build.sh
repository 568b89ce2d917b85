#!/bin/sh
# Train and export the network, and build the program that uses it: sh build.sh [FOLDER], then FOLDER/digit
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-build}
mkdir -p "$folder"
"${PYTHON:-python}" "$here/train.py" "$folder"
"${CC:-cc}" -std=c11 -O2 -Wall -Wextra -pedantic -I "$folder" -o "$folder/digit" \
    "$here/digit.c" "$folder/model.o" -lm -lpthread
echo "$folder/digit $folder/digits.bin 2"
