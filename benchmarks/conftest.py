"""What pytest-benchmark writes about the machine is what every other result says of it, and no host name."""

from fer_fast.bench.environment import environment


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info.clear()
    machine_info.update(environment())
