"""``rtface bench``: this machine's latency and throughput, as JSON and, with the extra lab, a plot."""

from __future__ import annotations

import typer

from rtface.cli.bench import bridges, camera, gpu, loop, screen, speed

app = typer.Typer(
    help="How fast this machine is, as JSON and, with the extra lab, a plot.", no_args_is_help=True
)
app.command("latency")(speed.latency)
app.command("throughput")(speed.throughput)
app.command("gpu")(gpu.gpu)
app.command("loop")(loop.loop)
app.command("gate")(loop.gate)
app.command("led")(loop.led)
app.command("screen")(screen.screen)
app.command("camera")(camera.camera)
app.command("bridges")(bridges.bridges)
