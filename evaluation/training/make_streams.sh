#!/bin/sh
# Writes the streams that train.py fits on into FOLDER, with their labels. WARDHOUSE names the binary.
#   make_streams.sh FOLDER
set -eu
folder=${1:?name a folder}
here=$(cd "$(dirname "$0")" && pwd)
wardhouse=${WARDHOUSE:-wardhouse}

make() { # generator seed grades out further-arguments
    generator=$1 seed=$2 grades=$3 out=$4; shift 4
    mkdir -p "$folder/$generator"
    python3 "$here/generator_$generator.py" --seed "$seed" --grades "$grades" --out "$folder/$generator/$out" "$@"
}
all=blatant,medium,subtle
for seed in 1 2 3 5 6 9; do
    make a $seed $all s$seed --users 150 --days 75 --rows 60000 --fraud-share 0.008
    make b $seed $all s$seed --users 220 --days 45 --rows 50000 --fraud-share 0.007
done
for seed in 4 10; do
    make a $seed blatant b$seed --users 150 --days 75 --rows 60000 --fraud-share 0.008
    make b $seed blatant b$seed --users 220 --days 45 --rows 50000 --fraud-share 0.007
done
for seed in 1 2 3 9; do
    make c $seed $all s$seed --users 180 --days 60 --rows 60000 --fraud-share 0.007
    make d $seed $all s$seed --users 100 --days 90 --rows 60000 --fraud-share 0.008
done
make c 4 blatant b4 --users 180 --days 60 --rows 60000 --fraud-share 0.007
make d 4 blatant b4 --users 100 --days 90 --rows 60000 --fraud-share 0.008
# generator_d.py writes into a folder of its own.
for stream in s1 s2 s3 s9 b4; do
    if [ -d "$folder/d/$stream" ]; then
        mv "$folder/d/$stream/data.ndjson" "$folder/d/$stream.ndjson"
        mv "$folder/d/$stream/data.labels.ndjson" "$folder/d/$stream.labels.ndjson"
    fi
done
mkdir -p "$folder/evaluation" "$folder/generate"
for seed in 1 2 3 5 6 9; do
    "$wardhouse" evaluate --seeds 10$seed-10$seed --write "$folder/evaluation" >/dev/null
    for kind in ndjson labels.ndjson; do mv "$folder/evaluation/10$seed.$kind" "$folder/evaluation/s$seed.$kind"; done
done
for seed in 4 10; do
    number=$((100 + seed))
    "$wardhouse" evaluate --seeds $number-$number --grades blatant --write "$folder/evaluation" >/dev/null
    for kind in ndjson labels.ndjson; do mv "$folder/evaluation/$number.$kind" "$folder/evaluation/b$seed.$kind"; done
done
for seed in 1 2 3; do
    "$wardhouse" generate --seed 5$seed --users 90 --days 60 --count 60000 --anomaly-rate 0.01 --labels "$folder/generate/truth" >"$folder/generate/s$seed.ndjson"
    # The truth names the fraudulent rows only.
    python3 - "$folder/generate/truth" "$folder/generate/s$seed.ndjson" >"$folder/generate/s$seed.labels.ndjson" <<'END'
import json, sys
truth = {row["transaction_id"]: row["incident"] for row in map(json.loads, open(sys.argv[1]))}
for row in map(json.loads, open(sys.argv[2])):
    name = row["transaction_id"]
    print(json.dumps({"transaction_id": name, "fraud": name in truth, "incident": truth.get(name)}))
END
done
