#!/bin/sh
# Packages a groundcrew, builds its image, and has it serve a fleet of the simulated AWS as ECS
# would run it: no root, no writable file system, no capability.
#
#   tests/deploy/container.sh [GROUNDCREW]     by default target/release/groundcrew
#
# Needs buildah, podman, runc and curl; ends with 77 where one of them is missing, or where no
# container at all can be run.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
groundcrew=$(realpath "${1:-$root/target/release/groundcrew}")
# Of the image, as a registry counts it: compressed.
most=$((40 * 1000 * 1000))

for tool in buildah podman runc curl; do
    command -v "$tool" >/dev/null || {
        echo "skipped: $tool is missing (on Debian: apt-get install buildah podman runc curl)" >&2
        exit 77
    }
done
[ -x "$groundcrew" ] || {
    echo "$groundcrew does not exist: cargo build --release --package groundcrew" >&2
    exit 1
}

work=$(mktemp -d)
image=localhost/groundcrew-test:$$
container=groundcrew-test-$$
aws_pid=

# Storage of its own, so that nothing is left behind; vfs and runc work without kernel modules.
podman() {
    command podman --root "$work/storage" --runroot "$work/run" --storage-driver vfs \
        --runtime runc --cgroup-manager cgroupfs "$@"
}
buildah() {
    command buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"
}
clean_up() {
    podman rm --force --time 5 "$container" >/dev/null 2>&1 || true
    [ -z "$aws_pid" ] || kill "$aws_pid" 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT
fail() {
    echo "FAILED: $1" >&2
    podman logs "$container" 2>&1 | tail -20 >&2 || true
    exit 1
}
# Tries a command for a minute and a half.
within_patience() {
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 180 ] || return 1
        sleep 0.5
    done
}

# An image with only `true`, to distinguish a bad image from a machine that can't run containers.
mkdir "$work/true"
for file in /bin/true $(ldd /bin/true | grep -o '/[^ ]*'); do
    cp --dereference --parents "$file" "$work/true"
done
printf 'FROM scratch\nCOPY . /\n' >"$work/Containerfile"
{
    buildah bud --isolation chroot --tag "$image-true" --file "$work/Containerfile" "$work/true" &&
        podman run --rm --network host --read-only --user 65532:65532 --cap-drop ALL \
            --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 "$image-true" /bin/true
} >"$work/log" 2>&1 || {
    echo "skipped: no container can be run here: $(tail -1 "$work/log")" >&2
    exit 77
}

# An AWS with six outdated accounts, each of which takes a second to update.
accounts=$(for number in 1 2 3 4 5 6; do
    printf '%s{"id": "%012d", "name": "account-%d", "ou": ["Workloads"], "update_seconds": 1}' \
        "$([ "$number" = 1 ] || echo ,)" "$number" "$number"
done)
echo "{\"accounts\": [$accounts]}" >"$work/organization.json"
"$groundcrew" sim-aws --listen 127.0.0.1:0 --snapshot "$work/organization.json" >"$work/aws" &
aws_pid=$!
within_patience grep -q http:// "$work/aws" || fail "the simulated AWS does not start"
aws=$(grep -o 'http://[0-9.:]*' "$work/aws" | head -1)
curl -sf -X POST "$aws/_groundcrew/release-artifact" >/dev/null

cat >"$work/crew.toml" <<EOF
[updates]
max_concurrent_operations = 2
poll_interval = 1
min_sweep_interval = "1s"
[queues]
updates_url = "$aws/123456789012/groundcrew-updates.fifo"
events_url = "$aws/123456789012/groundcrew-events"
notifications_url = "$aws/123456789012/groundcrew-notifications.fifo"
[ledger]
table = "groundcrew"
[alerts]
topic_arn = "arn:aws:sns:us-east-1:123456789012:groundcrew-alerts"
[[policies]]
plugin = "rings.rego"
[[notifiers]]
name = "ams"
plugin = "ams-case"
on = ["CreateManagedAccount"]
EOF
printf 'package rings\n\ndefault decision := "abstain"\n' >"$work/rings.rego"

"$groundcrew" package --config "$work/crew.toml" --target container --out "$work/build"

buildah bud --isolation chroot --timestamp 315532800 --format docker --tag "$image" \
    "$work/build/container" >/dev/null 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
# Docker's format has the name of the machine that built it, so that only the layers are alike.
layers=$(podman image inspect --format '{{.RootFS.Layers}}' "$image")
buildah bud --isolation chroot --timestamp 315532800 --format docker --no-cache \
    --tag "$image-again" "$work/build/container" >/dev/null 2>&1
[ "$layers" = "$(podman image inspect --format '{{.RootFS.Layers}}' "$image-again")" ] ||
    fail "the same package gave another image"

podman push --quiet --compress "$image" "dir:$work/pushed"
unpacked=$(podman image inspect --format '{{.Size}}' "$image")
packed=$(find "$work/pushed" -type f -exec cat {} + | wc -c)
echo "image: $packed bytes compressed, $unpacked bytes unpacked"
[ "$packed" -lt "$most" ] || fail "the image has $packed bytes; less than $most are expected"

# By its name, so that names are looked up in an image without any configuration for that.
podman run --detach --name "$container" --network host --read-only --read-only-tmpfs=false \
    --user 65532:65532 --cap-drop ALL --security-opt no-new-privileges \
    --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 \
    --env AWS_ENDPOINT_URL="http://localhost:${aws##*:}" --env AWS_ACCESS_KEY_ID=any --env AWS_SECRET_ACCESS_KEY=any \
    --env GROUNDCREW_LOG=info,groundcrew_plugins=debug \
    "$image" run --config /etc/groundcrew/groundcrew.toml --listen 127.0.0.1:18080 \
    >/dev/null 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
within_patience podman exec "$container" /groundcrew health --address 127.0.0.1:18080 ||
    fail "it does not get well"
# An image has a health check of its own; this one listens elsewhere, so it has to be unwell.
! podman healthcheck run "$container" >/dev/null 2>&1 ||
    fail "the health check of the image is well where nobody listens"

updated() {
    [ "$(curl -sf "$aws/_groundcrew/operations" | grep -o '"end": *"' | wc -l)" = 6 ]
}
within_patience updated || fail "not every account was updated"
podman logs "$container" >"$work/log" 2>&1
! grep -q 'plugin compiled' "$work/log" || fail "it compiled plugins"
grep -q '"from":"package"' "$work/log" || fail "it loaded no packaged plugin"
podman exec --user 65532 "$container" /groundcrew check \
    --config /etc/groundcrew/groundcrew.toml >/dev/null 2>&1 || fail "check fails within the image"

podman stop --time 20 "$container" >/dev/null 2>&1
[ "$(podman inspect --format '{{.State.ExitCode}}' "$container")" = 0 ] ||
    fail "it does not end cleanly"
echo "ok: six accounts updated by an image without root, read-only, that compiled nothing"
