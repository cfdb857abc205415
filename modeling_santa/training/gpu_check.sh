#!/usr/bin/env bash
# What a GPU has to show: throughput and MFU of the 1.1B model, peak memory, loss parity, and a proxy that infills.
# For one H100 or H200; training is stopped after LIMIT_S seconds (570). Usage:
#   gpu_check.sh throughput|parity|proxy CORPUS TOKENIZER OUT [--device cpu --tiny]
# --device cpu --tiny runs the same commands with a tiny model, to see that they work. `proxy` goes on where it was
# stopped: call it until it says that its steps are trained already; then it converts and prints how to score.
set -euo pipefail

usage() { sed -n '2,7s/^# //p' "$0"; exit 2; }
[ $# -ge 4 ] || usage
what=$1 corpus=$2 tokenizer=$3 out=$4
shift 4
device=cuda tiny=
while [ $# -gt 0 ]; do
  case $1 in
    --device) device=$2; shift 2 ;;
    --tiny) tiny=1; shift ;;
    *) usage ;;
  esac
done
limit=${LIMIT_S:-570}
python=${PYTHON:-python}
vocab=$("$python" -c 'import sys; from tokenizers import Tokenizer; print(Tokenizer.from_file(sys.argv[1] + "/tokenizer.json").get_vocab_size())' "$tokenizer")
common=(--corpus "$corpus" --tokenizer "$tokenizer" --device "$device" --gpus 1 --max-epochs 1e9
  --set "model.model_config.vocab_size=$vocab" --set data.num_loading_workers=0)
[ "$device" = cpu ] || common+=(--set data.num_loading_workers=8)
if [ -n "$tiny" ]; then
  common+=(--set model.model_config.num_hidden_layers=2 --set model.model_config.hidden_size=64
    --set model.model_config.num_attention_heads=4 --set model.model_config.intermediate_size=256
    --set tokens.sequence_length=64 --set model.model_config.max_position_embeddings=64
    --set tokens.micro_batch_size=2 --set tokens.batch_accumulation_per_replica=1)
fi
train() { timeout "$limit" hf-santa train "${common[@]}" "$@"; }

case $what in
  throughput)
    steps=$([ -n "$tiny" ] && echo 4 || echo 12)
    rm -rf "$out/throughput"
    train --config santacoder-1.1b --steps "$steps" --out "$out/throughput" --set checkpoints.checkpoint_interval=1000000
    "$python" -m modeling_santa.training.nanotron.gpu_report throughput "$out/throughput/loss.jsonl"
    ;;
  parity)
    steps=$([ -n "$tiny" ] && echo 5 || echo 50)
    rm -rf "$out/parity"
    train --config proxy-20m --steps "$steps" --out "$out/parity" --set checkpoints.save_initial_state=true \
      --set tokens.micro_batch_size=2 --set tokens.batch_accumulation_per_replica=1 --set model.dtype=float32 \
      --set optimizer.accumulate_grad_in_fp32=false --set optimizer.zero_stage=0 --set fim.fim_rate=0.5 \
      --set model.model_config.attn_pdrop=0.0 --set model.model_config.resid_pdrop=0.0 --set model.model_config.embd_pdrop=0.0
    "$python" -m modeling_santa.training.nanotron.gpu_report parity "$out/parity" --corpus "$corpus" --tokenizer "$tokenizer"
    ;;
  proxy)
    steps=$([ -n "$tiny" ] && echo 6 || echo 260)  # 260 x 393,216 = 102 million tokens
    train --config proxy-125m --steps "$steps" --out "$out/proxy" --set checkpoints.checkpoint_interval=20 \
      --set optimizer.learning_rate_scheduler.lr_warmup_steps=20 \
      --set optimizer.learning_rate_scheduler.lr_decay_starting_step=20 \
      --set "optimizer.learning_rate_scheduler.lr_decay_steps=$((steps > 20 ? steps - 20 : 1))"
    rm -rf "$out/proxy-model"
    hf-santa model convert "$out/proxy/checkpoints" "$out/proxy-model"
    echo "Score it, each within ten minutes by --shard I/N:"
    echo "  hf-santa eval complete --model $out/proxy-model --task infill --out $out/infill.jsonl"
    echo "  hf-santa eval complete --model $out/proxy-model --task humaneval-py --n 200 --temperature 0.8 --out $out/py.jsonl"
    echo "  HF_ALLOW_CODE_EVAL=1 hf-santa eval score --help"
    ;;
  *) usage ;;
esac
