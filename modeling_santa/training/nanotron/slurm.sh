#!/bin/bash
#SBATCH --job-name=@NAME@
#SBATCH --nodes=@NODES@
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=@GPUS@
#SBATCH --cpus-per-task=@CPUS@
#SBATCH --exclusive
#SBATCH --requeue
#SBATCH --open-mode=append
# Written by `hf-santa train --slurm`. A killed or requeued job goes on from the newest checkpoint.
set -euo pipefail
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun @PYTHON@ -m torch.distributed.run --nnodes "$SLURM_NNODES" --nproc-per-node @GPUS@ \
  --rdzv-backend c10d --rdzv-id "$SLURM_JOB_ID" --rdzv-endpoint "$first:29500" \
  -m modeling_santa.training.nanotron.worker @ARGUMENTS@
