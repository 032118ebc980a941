"""What a strategy says, in the words of transformers' Trainer."""

from pathlib import Path

import torch
from transformers import TrainingArguments

from medstress.cards.strategy import Vlm


def trainer_arguments(strategy: Vlm, rate: float, seed: int, folder: Path, device: torch.device) -> TrainingArguments:
    """A training of `strategy.steps` steps with the peak learning rate `rate`, which saves nothing by itself."""
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=strategy.steps,
        per_device_train_batch_size=strategy.batch // strategy.accumulate,
        gradient_accumulation_steps=strategy.accumulate,
        learning_rate=rate,
        lr_scheduler_type=strategy.schedule,
        warmup_steps=round(strategy.warm_up * strategy.steps),
        max_grad_norm=strategy.clip,
        activation_checkpointing=strategy.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False},
        train_sampling_strategy="sequential",
        seed=seed,
        use_cpu=device.type == "cpu",
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    # With several GPUs the layers are spread over them; Trainer would put a copy of the whole on each.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments
