"""A simulated NVIDIA driver: a real ``libnvidia-ml.so.1`` whose GPUs live in a JSON file that anyone may change at run time.

``build.library()`` compiles it, :class:`agent.sim.gpu.GpuSim` makes and changes the file, ``GpuSim.environment()`` is what a client
needs to find both. See docs/simulator.md.
"""
