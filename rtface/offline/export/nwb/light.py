"""The light of a session as ndx-optogenetics has it, with what a metadata file says of source, fibre and effector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rtface.core.clock import NS_PER_S
from rtface.offline.export.events import EventTable
from rtface.offline.export.metadata import InjectionFacts, OptogeneticsFacts
from rtface.offline.export.source import ExportSource


def add_light(
    made: Any, tables: Sequence[EventTable], recording: ExportSource, said: OptogeneticsFacts
) -> None:
    """Add the site of stimulation and each pulse that happened; while blinded the site alone."""
    from ndx_optogenetics import (
        OptogeneticEffectors,
        OptogeneticExperimentMetadata,
        OptogeneticPulsesTable,
        OptogeneticSitesTable,
        OptogeneticViruses,
        OptogeneticVirusInjections,
    )

    source, fibre = _devices(made, said)
    effector, injection = _effector(said)
    sites = OptogeneticSitesTable(description="Where the light acts.")
    sites.add_row(excitation_source=source, optical_fiber=fibre, effector=effector)
    more: dict[str, Any] = {}
    if injection is not None:
        more["optogenetic_viruses"] = OptogeneticViruses(viral_vectors=[injection.viral_vector])
        more["optogenetic_virus_injections"] = OptogeneticVirusInjections(viral_vector_injections=[injection])
    made.add_lab_meta_data(
        OptogeneticExperimentMetadata(
            stimulation_software="rtface",
            optogenetic_sites_table=sites,
            optogenetic_effectors=OptogeneticEffectors(effectors=[effector]),
            **more,
        )
    )
    light = next((each for each in tables if each.name == "light"), None)
    if light is None or light.ends_ns is None:
        return
    pulses = OptogeneticPulsesTable(
        name="optogenetic_pulses",
        description="Pulses that happened, as the output reported them; a sham makes none.",
        target_tables={"optogenetic_sites": sites},
    )
    amplitudes = next(each.values for each in light.columns if each.name == "amplitude")
    for begin_ns, end_ns, amplitude in zip(light.times_ns, light.ends_ns, amplitudes, strict=True):
        pulses.add_row(
            start_time=(begin_ns - recording.began_ns) / NS_PER_S,
            stop_time=(end_ns - recording.began_ns) / NS_PER_S,
            power_in_mW=said.source.power_in_mW * (1.0 if amplitude is None else amplitude),
            wavelength_in_nm=said.source.wavelength_in_nm,
            optogenetic_sites=[0],
        )
    made.add_time_intervals(pulses)


def _devices(made: Any, said: OptogeneticsFacts) -> tuple[Any, Any]:
    from ndx_ophys_devices import FiberInsertion
    from ndx_optogenetics import ExcitationSource, ExcitationSourceModel, OpticalFiber, OpticalFiberModel

    source_model = ExcitationSourceModel(
        name=f"{said.source.name} model",
        description="model of the light source",
        manufacturer=said.source.manufacturer,
        source_type=said.source.source_type,
        excitation_mode=said.source.excitation_mode,
        wavelength_range_in_nm=[said.source.wavelength_in_nm] * 2,
        **_given(model_number=said.source.model_number),
    )
    source = ExcitationSource(
        name=said.source.name,
        description="light source",
        model=source_model,
        power_in_W=said.source.power_in_mW / 1000,
    )
    fibre_model = OpticalFiberModel(
        name=f"{said.fibre.name} model",
        description="model of the optical fibre",
        manufacturer=said.fibre.manufacturer,
        numerical_aperture=said.fibre.numerical_aperture,
        **_given(core_diameter_in_um=said.fibre.core_diameter_in_um, model_number=said.fibre.model_number),
    )
    place = said.fibre.insertion
    fibre = OpticalFiber(
        name=said.fibre.name,
        description="optical fibre",
        model=fibre_model,
        fiber_insertion=FiberInsertion(
            insertion_position_ap_in_mm=place.ap_in_mm,
            insertion_position_ml_in_mm=place.ml_in_mm,
            insertion_position_dv_in_mm=place.dv_in_mm,
            position_reference=place.reference,
            hemisphere=place.hemisphere,
        ),
    )
    for model in (source_model, fibre_model):
        made.add_device_model(model)
    for device in (source, fibre):
        made.add_device(device)
    return source, fibre


def _effector(said: OptogeneticsFacts) -> tuple[Any, Any]:
    from ndx_ophys_devices import Effector

    injection = None if said.injection is None else _injection(said.injection)
    effector = Effector(
        name=said.effector.name,
        label=said.effector.label,
        **_given(description=said.effector.description, viral_vector_injection=injection),
    )
    return effector, injection


def _injection(said: InjectionFacts) -> Any:
    from ndx_ophys_devices import ViralVector, ViralVectorInjection

    vector = ViralVector(
        name="viral_vector",
        construct_name=said.construct_name,
        manufacturer=said.manufacturer,
        titer_in_vg_per_ml=said.titer_in_vg_per_ml,
    )
    return ViralVectorInjection(
        name="viral_vector_injection",
        viral_vector=vector,
        location=said.location,
        hemisphere=said.place.hemisphere,
        reference=said.place.reference,
        ap_in_mm=said.place.ap_in_mm,
        ml_in_mm=said.place.ml_in_mm,
        dv_in_mm=said.place.dv_in_mm,
        volume_in_uL=said.volume_in_uL,
    )


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
