#!/usr/bin/env bash
# The migration guide's complete procedure, as an operator follows it: backup, check, build, check again, one camera,
# several, monitor, rollback. In the current folder, with the guide's models in models/.
#
#   migrate.sh SECONDS CAMERA...
#
# SECONDS: how long the monitor runs. CAMERA: at least two, each in the form of `URL`.
# GST_TRT: the program. CPU_LIMIT: maximum CPU of the machine that the monitor may show, percent.
set -euo pipefail
GST_TRT=${GST_TRT:-gst-trt}
watch=$1
shift
[[ $# -ge 2 ]] || { echo "migrate.sh SECONDS CAMERA CAMERA..."; exit 2; }
rm -f -- *.jsonl *.log

fail() {
  echo "FAILED: $*"
  tail -n 20 ./*.log 2>/dev/null || true
  exit 1
}

# config UNIFIED CAMERA...: the guide's configuration in config.json, written to a new file and renamed, as editors do. For
# models with random weights only as many objects are kept as a busy street shows.
config() {
  local unified=$1 legacy cameras="" url number=0
  shift
  [[ $unified == true ]] && legacy=false || legacy=true
  for url in "$@"; do
    number=$((number + 1))
    cameras+="${cameras:+, }{ \"NAME\": \"camera-$number\", \"URL\": \"$url\" }"
  done
  cat >config.json.next <<CONFIG
{
  "processing": {
    "ENABLE_DECOUPLED_PIPELINE": $legacy,
    "ENABLE_MULTIPROCESSING": false,
    "USE_UNIFIED_GPU_PIPELINE": $unified,
    "ENABLE_NVDEC": true,
    "NVDEC_FALLBACK_TO_CPU": false,
    "ENABLE_GPU_PREPROCESSING": true,
    "FORCE_GPU_ONLY": $unified,
    "MAX_QUEUE_SIZE": 20,
    "NVDEC_BUFFER_SIZE": 5,
    "GPU_BATCH_SIZE": ${BATCH:-2},
    "UNIFIED_PIPELINE_THREADS": 16,
    "PIPELINE_QUEUE_TIMEOUT_MS": 5.0
  },
  "models": {
    "ENABLE_TENSORRT": true,
    "TENSORRT_FP16": true,
    "TENSORRT_WORKSPACE_SIZE": 2,
    "DETECTION": { "MAX_DETECTIONS": 20 },
    "POSE": { "MAX_DETECTIONS": 5 }
  },
  "cameras": { "RTSP_STREAMS": [$cameras] },
  "outputs": { "JSON_LINES": "{camera}.jsonl" }
}
CONFIG
  mv config.json.next config.json
}

lines() {
  if [[ -e camera-$1.jsonl ]]; then wc -l <"camera-$1.jsonl"; else echo 0; fi
}

# frames_of COUNT LIMIT: waits until each of the first COUNT cameras has output more frames than now, for at most LIMIT seconds.
frames_of() {
  local number before start=$SECONDS
  for ((number = 1; number <= $1; number++)); do
    before=$(lines "$number")
    until [[ $(lines "$number") -gt $((before + 5)) ]]; do
      kill -0 "$process" 2>/dev/null || fail "gst-trt run has ended"
      ((SECONDS - start < $2)) || fail "no objects of camera-$number in $2 s"
      sleep 0.1
    done
  done
}

start() {
  "$GST_TRT" run --config config.json >run-"$1".out 2>run-"$1".log &
  process=$!
}

# SIGTERM: exit status 0 within 5 s, and only complete lines.
stop() {
  local start=${EPOCHREALTIME/./} code=0 file
  kill -TERM "$process"
  wait "$process" || code=$?
  local took=$(((${EPOCHREALTIME/./} - start) / 1000))
  process=
  [[ $code == 0 ]] || fail "SIGTERM ended it with $code"
  ((took < 5000)) || fail "SIGTERM took $took ms"
  for file in camera-*.jsonl; do
    # The shell removes a trailing newline.
    [[ -z $(tail -c 1 "$file") ]] || fail "the last line of $file isn't whole"
    ! grep -qv '^{.*}$' "$file" || fail "a line of $file isn't whole"
  done
  echo "stopped in $took ms"
}

process=
trap '[[ -z $process ]] || kill -KILL "$process" 2>/dev/null || true' EXIT

echo "== Before: the legacy settings, and their backup"
config false "$@"
cp config.json config.json.backup

echo "== Steps 1 and 3: the new configuration is checked"
config true "$1"
"$GST_TRT" check --config config.json >check-before.log 2>&1 || fail "check refuses the configuration"

echo "== Step 2: engines"
"$GST_TRT" build --config config.json >build.log 2>&1 || fail "engines can't be built"
for engine in detection_fp16 pose_fp16; do
  [[ -s models/engines/$engine.engine ]] || fail "models/engines/$engine.engine isn't there"
done
"$GST_TRT" check --config config.json >check-after.log 2>&1 || fail "check isn't content with the engines"

echo "== Step 4: one camera"
start unified
frames_of 1 60
echo "objects of 1 camera"

echo "== Step 5: $# cameras, by an edit of the file while it runs"
config true "$@"
frames_of $# 60
echo "objects of $# cameras"

echo "== Monitor"
"$GST_TRT" monitor --count "$watch" >monitor.json 2>monitor.log || fail "the monitor can't look in"
mean() {
  sed -n "s/.*\"$1\":{[^}]*\"cpu_percent\":\([0-9.]*\).*/\1/p" monitor.json | awk '{ s += $1 } END { if (NR) printf "%.1f", s / NR }'
}
machine=$(mean machine)
[[ -n $machine ]] || fail "the monitor doesn't show the machine's CPU"
echo "CPU of the machine: $machine %, of it gst-trt: $(mean process) %; mean of $watch s, $# cameras, $(nproc) cores"
if [[ -n ${CPU_LIMIT:-} ]]; then
  awk -v cpu="$machine" -v limit="$CPU_LIMIT" 'BEGIN { exit !(cpu <= limit) }' || fail "more CPU than $CPU_LIMIT %"
fi
stop

echo "== Rollback: the backup, the same cameras"
rm -f camera-*.jsonl
cp config.json.backup config.json
start rollback
frames_of $# 120
echo "objects of $# cameras, on the CPU"
stop
echo "held, every step of the guide"
