"""What a benchmark's JSON says of its machine, as far as pages want to know."""

MACHINE = {
    "versions": {"torch": "2.13.0", "openvino": "2026.4.1"},
    **{"features": ["avx512_vnni"], "cores": 2, "processor": "processor", "commit": "0123456789abcdef"},
    **{"load_average": [0.5, 1, 1], "load_average_after": [1.0, 1, 1]},
}
