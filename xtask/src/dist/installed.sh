#!/usr/bin/env bash
# installed.sh PACKAGE PICTURE: what a person does with the package, in a root that has nothing but a minimal Debian. PICTURE is a
# JPEG with persons.
set -euo pipefail
package=$1 picture=$2
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 GST_DEBUG_NO_COLOR=1
models=/usr/share/gst-tensorrt/models
config=/etc/gst-trt/config.json
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

step() { echo "  $*"; }
fail() { echo "failed: $*" >&2; exit 1; }

# quietly COMMAND...: prints what the command prints only if it fails.
quietly() {
  "$@" >"$work/said" 2>&1 || { cat "$work/said" >&2; fail "$*"; }
}

# files: every file with kind, mode, owner and size, without those that dpkg, apt and the dynamic loader keep for themselves, and
# without the machine's folders that are mounted here.
files() {
  local folder skipped=() mounted
  IFS=: read -ra mounted <<<"$PWD${ROOT_FOLDERS:+:$ROOT_FOLDERS}"
  for folder in /proc /sys /dev /run /tmp /var/lib/dpkg /var/lib/apt /var/cache/apt /var/cache/ldconfig /etc/ld.so.cache /var/log \
    /root/.cache "${mounted[@]}"; do
    skipped+=(-path "$folder" -prune -o)
  done
  find / -xdev "${skipped[@]}" -printf '%p %y %m %u:%g' \( -type f -printf ' %s\n' -o -printf '\n' \) | sort
}

packages() { dpkg-query --show --showformat '${Package}\n' | sort; }

step "what it depends on, and systemd, which reads its unit"
quietly apt-get -q update
quietly apt-get -q satisfy --yes --no-install-recommends "$(dpkg-deb --field "$package" Depends), gstreamer1.0-tools, systemd"
quietly apt-get -q install --simulate --yes "$package"
files >"$work/files-before"
packages >"$work/packages-before"

step "apt-get install"
quietly apt-get -q install --yes --no-install-recommends "$package"
new=$(comm -13 "$work/packages-before" <(packages))
[[ $new == gst-plugin-tensorrt ]] || fail "Depends lacks what apt has installed with it: $new"

step "gst-inspect-1.0"
for element in tensorrt trtdetect trtpose trtclassify trttrack trtzones trtoverlay trtpublish; do
  quietly gst-inspect-1.0 "$element"
done

step "a pipeline on the CPU, with the models of the package"
GST_DEBUG=trtcpu:4 gst-launch-1.0 -q filesrc location="$picture" ! jpegdec ! videoconvert \
  ! trtdetect backend=cpu model=$models/nanodet.onnx \
  ! trtpose backend=cpu model=$models/movenet-lightning.onnx inference-region=objects object-classes=person \
  ! trtpublish location="$work/lines" stream-id=picture ! fakesink >"$work/said" 2>&1 || { cat "$work/said"; fail "pipeline"; }
grep -q '"label":"person"' "$work/lines" || fail "no person in the picture: $(cat "$work/lines")"
grep -q '"keypoints"' "$work/lines" || fail "no keypoints in the picture: $(cat "$work/lines")"
library=$(grep -o 'Opened ONNX Runtime [^,]*' "$work/said")
echo "    $library"
if dpkg-query --show 'libonnxruntime*' >/dev/null 2>&1; then
  [[ $library != */usr/lib/gst-tensorrt/* ]] || fail "the system's ONNX Runtime isn't used"
  [[ ! -e /usr/lib/gst-tensorrt ]] || fail "ONNX Runtime is carried beside the system's"
else
  [[ $library == *\(/usr/lib/gst-tensorrt/libonnxruntime.so.* ]] || fail "the package's own ONNX Runtime isn't used"
fi

step "gst-trt check, gst-trt run with a test camera"
quietly gst-trt check --config $config
status=0
timeout --preserve-status --signal TERM 8 gst-trt run --config $config >"$work/lines" 2>"$work/said" || status=$?
[[ $status == 0 ]] || { cat "$work/said" >&2; fail "gst-trt run ended with $status"; }
lines=$(wc -l <"$work/lines")
((lines >= 10)) || { cat "$work/said" >&2; fail "the test camera gave $lines lines"; }
grep -q '"stream":"test".*"label":"sports ball"' "$work/lines" || fail "the test camera's ball isn't found: $(head -1 "$work/lines")"

step "man pages, completions, unit, licences"
for page in gst-trt gst-trt-check gst-trt-build gst-trt-run gst-trt-monitor gst-trt-bench gst-trt-cache; do
  zcat "/usr/share/man/man1/$page.1.gz" >"$work/page" || fail "$page has no page"
  grep -q '^\.SH OPTIONS' "$work/page" || fail "$page's page has no options"
done
(. /usr/share/bash-completion/completions/gst-trt && complete -p gst-trt) >/dev/null || fail "completions for bash"
grep -q '^#compdef gst-trt' /usr/share/zsh/vendor-completions/_gst-trt || fail "completions for zsh"
grep -q 'complete -c gst-trt' /usr/share/fish/vendor_completions.d/gst-trt.fish || fail "completions for fish"
quietly systemd-analyze verify gst-trt.service
[[ $(systemctl is-enabled gst-trt.service) == disabled ]] || fail "the service is enabled before there are cameras"
grep -q '^Files: crates/' /usr/share/doc/gst-plugin-tensorrt/copyright || fail "crates have no licences"

step "what pages show and link to is there"
doc=/usr/share/doc/gst-plugin-tensorrt
targets() { grep --only-matching --with-filename --extended-regexp "$@" | sed -E 's/:!?\[[^]]*\]\(|:\]\(|:src="/ /'; }
count=0
while read -r page target; do
  # The rest of an address outside was cut at its colon.
  [[ $target != http && $target != https ]] || continue
  [[ -e ${page%/*}/$target ]] || fail "$page: $target isn't there"
  count=$((count + 1))
done < <(targets '\]\([^)#:]+|src="[^":]+' $doc/docs/*.md; targets '!\[[^]]*\]\([^)#:]+' $doc/README.md)
((count > 100)) || fail "only $count links were found"

step "an upgrade keeps what was edited"
quietly systemctl enable gst-trt.service
echo '// edited' >>$config
cp $config "$work/edited"
echo PASSWORD=x >/etc/gst-trt/secrets
mkdir -p /var/lib/gst-trt /var/cache/gst-trt/engines
echo picture >/var/lib/gst-trt/recorded
dpkg-deb --raw-extract "$package" "$work/newer"
sed -i 's/^Version: .*/&+upgrade/' "$work/newer/DEBIAN/control"
echo '// a newer default' >>"$work/newer$config"
(cd "$work/newer" && sed -i '/ etc\//d' DEBIAN/md5sums)
quietly dpkg-deb --root-owner-group -Znone --build "$work/newer" "$work/newer.deb"
# As unattended upgrades do.
quietly apt-get -q install --yes --no-install-recommends -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
  "$work/newer.deb"
[[ $(dpkg-query --show --showformat '${Version}' gst-plugin-tensorrt) == *+upgrade ]] || fail "it isn't upgraded"
cmp "$work/edited" $config || fail "the upgrade has changed the configuration"
[[ $(systemctl is-enabled gst-trt.service) == enabled ]] || fail "the upgrade has disabled the service"

step "apt-get remove, then purge"
quietly apt-get -q remove --yes gst-plugin-tensorrt
cmp "$work/edited" $config || fail "removing has changed the configuration"
quietly apt-get -q purge --yes gst-plugin-tensorrt
files >"$work/files-after"
{ echo "/etc/gst-trt d 755 root:root"; echo "/etc/gst-trt/secrets f 644 root:root 11"
  echo "/var/lib/gst-trt d 755 root:root"; echo "/var/lib/gst-trt/recorded f 644 root:root 8"; } >"$work/of-user"
diff <(sort "$work/files-before" "$work/of-user") "$work/files-after" >"$work/difference" ||
  { cat "$work/difference" >&2; fail "purging leaves or takes more than it should"; }
