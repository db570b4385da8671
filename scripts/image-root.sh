#!/bin/sh
# Gathers the image's files in a folder, in a Debian that has node and nft, after scripts/build.ts. No shell goes along.
set -eu
root=$1
programs="/usr/local/bin/node /usr/sbin/nft"

libc=$(ldd /usr/local/bin/node | grep -q musl && echo musl || echo glibc)
[ "$libc" = glibc ] || { echo "image-root.sh: a Debian image is needed" >&2; exit 1; }

mkdir -p "$root/sallyport" "$root/etc" "$root/var/lib/dpkg/status.d"
cp -R dist/. "$root/sallyport"
rm -f "$root"/sallyport/koffi-musl-*.node

# `sallyport` as pods, hooks and `kubectl exec` name it: the kernel reads the first line, no shell is needed.
sed -i '1i #!/usr/local/bin/node' "$root/sallyport/main.js"
chmod +x "$root/sallyport/main.js"
mkdir -p "$root/usr/local/bin"
ln -s /sallyport/main.js "$root/usr/local/bin/sallyport"

# ldd prints the files that the loader would take, and the loader itself.
for file in $programs "$root"/sallyport/*.node; do
  [ -e "$file" ] || continue
  ldd "$file" | grep -o '/[^ ]*'
done | sort -u >/tmp/libraries
for file in $programs $(cat /tmp/libraries); do
  case $file in "$root"/*) continue ;; esac
  mkdir -p "$root$(dirname "$file")"
  cp -L "$file" "$root$file"
done

# Scanners read which Debian packages are in an image from here; their licences ask for the copyright files.
for file in $programs $(cat /tmp/libraries); do
  dpkg -S "$(realpath "$file")" 2>/dev/null || dpkg -S "$file" 2>/dev/null || true
done | cut -d: -f1 | sort -u | while read -r package; do
  dpkg -s "$package" >"$root/var/lib/dpkg/status.d/$package"
  mkdir -p "$root/usr/share/doc/$package"
  cp -L "/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/"
done

echo 'sallyport:x:15190:15190:sallyport:/:/none' >"$root/etc/passwd"
echo 'sallyport:x:15190:' >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
cp /etc/os-release "$root/etc/os-release" # which Debian the packages come from, for scanners too

chmod -R u=rwX,go=rX "$root"
