#!/bin/bash
# Train on several machines with Slurm and JAX: sbatch examples/cluster/slurm_jax.sh
#SBATCH --job-name=cspdarknet
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --requeue

# DATA and RUN are folders that all machines see. An interrupted job continues when it is run again.
export KERAS_BACKEND=jax
srun cspdarknet train "${DATA:?a folder of images}" --out "${RUN:?a run folder}" \
    --model csp_darknet_l --recipe imagenet --workers 32 --join auto
