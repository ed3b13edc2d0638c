"""What is asked of rounds: the method of their steps, before anything is computed."""

from __future__ import annotations

from trials.core.choices import HALF, LINEAR, refuse_no_chain

METHODS = ("jvp", "cached", "function_space")
LARGEST_KERNEL_BYTES = 2**30
_GIBIBYTE = 2**30


def unified_lengths(interval: float, steps: float, warm_steps: float) -> tuple[float, float]:
    """Return one (interval, plain steps before) for all of the same training; what is not allowed stays as it is."""
    numbers = (isinstance(each, int | float) and not isinstance(each, bool) for each in (interval, steps, warm_steps))
    if not all(numbers) or interval < 1 or warm_steps < 0:
        return interval, warm_steps
    if interval == 1 or warm_steps >= steps:
        return 1, 0
    return (steps if warm_steps + interval >= steps else interval), warm_steps


def refuse_method(asked: str, rule: str, network: str, precision: str) -> None:
    """Compare the method asked for with the optimizer's rule, the network and the precision, each by its name.

    Raises:
        ValueError: The network is no chain of layers, the rule leaves the coordinates of the method, or products are
            rounded where kernels are to be summed.
    """
    if asked in ("cached", "function_space"):
        refuse_no_chain(network, f"round_method={asked}")
    if asked == "function_space" and rule not in LINEAR:
        raise ValueError(
            f"round_method='function_space' needs optimizer to be one of {', '.join(LINEAR)}, "
            f"got {rule!r}, which scales each parameter by itself"
        )
    if asked == "function_space" and precision == HALF:
        raise ValueError(f"round_method={asked} needs precision to be float32, float64 or tf32, got {precision}")


def refuse_large_kernel(samples: int, classes: int, bytes_per_number: int) -> None:
    """Compare the kernel's size with what a trial may take.

    Raises:
        ValueError: The kernel of all training samples would be larger than 1 GiB.
    """
    size = (samples * classes) ** 2 * bytes_per_number
    if size > LARGEST_KERNEL_BYTES:
        raise ValueError(
            f"round_method=function_space needs a kernel of {samples} samples x {classes} classes squared, "
            f"{size / _GIBIBYTE:.1f} GiB; at most {LARGEST_KERNEL_BYTES / _GIBIBYTE:.0f} GiB is allowed: "
            "lower data_train_size or take round_method=auto"
        )
