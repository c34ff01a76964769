#!/bin/bash
# Train on several machines with Slurm and PyTorch: sbatch examples/cluster/slurm_torch.sh
#SBATCH --job-name=cspdarknet
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --requeue

# DATA and RUN are folders that all machines see. An interrupted job continues when it is run again.
export KERAS_BACKEND=torch
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1  # restarts find no addresses of processes that ended
FIRST=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
# One torchrun on each machine starts one process for each of its GPUs. The port depends on the job,
# for jobs that share a machine.
srun torchrun --nnodes "$SLURM_NNODES" --nproc-per-node "$SLURM_GPUS_ON_NODE" --max-restarts 3 \
    --rdzv-backend c10d --rdzv-id "$SLURM_JOB_ID" \
    --rdzv-endpoint "$FIRST:$((20000 + SLURM_JOB_ID % 10000))" \
    -m cspdarknet train "${DATA:?a folder of images}" --out "${RUN:?a run folder}" \
    --model "${MODEL:-csp_darknet_l}" --recipe "${RECIPE:-imagenet}" --workers 8
