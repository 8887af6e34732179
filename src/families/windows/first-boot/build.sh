#!/bin/sh
# Builds the first-boot program of Windows guests, for each architecture: build.sh DIRECTORY gives
# DIRECTORY/x86_64/h2kfirst.exe and DIRECTORY/i686/h2kfirst.exe. The same sources and compiler give the same
# bytes, wherever they are.
set -eu
target=$1
cd "$(dirname "$0")/program"

build() {
  mkdir -p "$target/$1"
  # Without a timestamp, paths and symbols. The libraries are part of every Windows from 7 on.
  "$1-w64-mingw32-gcc" -std=c11 -Os -Wall -Wextra -Werror -municode -mconsole -DUNICODE \
    -DWIN32_LEAN_AND_MEAN -D_WIN32_WINNT=0x0601 \
    -s -static-libgcc -Wl,--no-insert-timestamp -o "$target/$1/h2kfirst.exe.new" ./*.c \
    -liphlpapi -lsetupapi -ladvapi32
  mv "$target/$1/h2kfirst.exe.new" "$target/$1/h2kfirst.exe"
}

case $target in /*) ;; *) echo "$0: the directory must be absolute" >&2; exit 2 ;; esac
build x86_64
build i686
