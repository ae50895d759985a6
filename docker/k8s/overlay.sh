#!/bin/sh
# Make an overlay for the jobs of a file: sh docker/k8s/overlay.sh NAME gpu|cpu JOBS
#
# It writes docker/k8s/overlays/NAME with the jobs, their number and the name of the sweep; add the name of your image
# there. Each line of JOBS has the options of one job, separated by spaces.
set -eu
name=$1 kind=$2 jobs=$3
here=$(dirname "$0")/overlays
[ -d "$here/$kind" ] || { echo "no overlay $kind in $here" >&2; exit 2; }
[ ! -e "$here/$name" ] || { echo "$here/$name exists: remove it, or choose another name" >&2; exit 2; }
count=$(grep -c '[^[:space:]]' "$jobs") || { echo "$jobs has no job" >&2; exit 2; }
mkdir "$here/$name"
grep '[^[:space:]]' "$jobs" >"$here/$name/jobs.txt"
cat >"$here/$name/kustomization.yaml" <<END
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../$kind]
nameSuffix: -$name
configMapGenerator:
  - name: audiobag-jobs
    behavior: replace
    files: [jobs.txt]
    literals: [name=$name]
    options: {labels: {app.kubernetes.io/component: sweep}}
patches:
  - target: {kind: Job, name: audiobag-sweep}
    patch: |
      - {op: replace, path: /spec/completions, value: $count}
END
echo "$count jobs: kubectl apply -k $here/$name -l app.kubernetes.io/component=sweep"
