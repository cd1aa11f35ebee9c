"""What an archive wants to know of an experiment and no rig records: a YAML file, checked, and held against the session."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from rtface.config.section import Section, contradiction
from rtface.config.yamlfile import Document, read_document
from rtface.core.clock import utc
from rtface.core.errors import ConfigError
from rtface.record.session.reader import Session

Text = Annotated[str, Field(min_length=1)]
_SPAN = r"P(\d+(\.\d+)?[YMWD])+"
_AGE = rf"^{_SPAN}(/{_SPAN})?$"
_SAME = timedelta(seconds=1)
"""Two times of the calendar that are no further apart are the same start."""


class SessionFacts(Section):
    """What was done, by whom. Names as in NWB."""

    session_description: Text | None = None
    session_start_time: datetime | None = None
    """With its time zone. Of a session it is recorded, and need not stand here."""
    session_id: Text | None = None
    experimenter: tuple[Text, ...] = ()
    """Each as ``Last, First``."""
    lab: Text | None = None
    institution: Text | None = None
    experiment_description: Text | None = None
    keywords: tuple[Text, ...] = ()
    related_publications: tuple[Text, ...] = ()
    protocol: Text | None = None
    surgery: Text | None = None
    pharmacology: Text | None = None
    virus: Text | None = None
    stimulus_notes: Text | None = None
    notes: Text | None = None

    @field_validator("session_start_time")
    @classmethod
    def _zoned(cls, start: datetime | None) -> datetime | None:
        if start is not None and start.tzinfo is None:
            raise ValueError("needs a time zone, such as 2026-11-30T14:05:00+01:00")
        return start


class SubjectFacts(Section):
    """The animal. Names as in NWB."""

    subject_id: Text
    species: Text = "Mus musculus"
    sex: Literal["M", "F", "U", "O"] = "U"
    age: Annotated[str, Field(pattern=_AGE)] | None = None
    """As an ISO 8601 duration, such as P90D, or a range of them, such as P80D/P90D."""
    date_of_birth: datetime | None = None
    strain: Text | None = None
    genotype: Text | None = None
    weight: Annotated[str, Field(pattern=r"^\d+(\.\d+)? ?(g|kg)$")] | None = None
    """With its unit, such as 0.023 kg."""
    description: Text | None = None

    @field_validator("date_of_birth", mode="before")
    @classmethod
    def _whole_day(cls, born: Any) -> Any:
        return datetime(born.year, born.month, born.day, tzinfo=UTC) if type(born) is date else born


class Place(Section):
    """Where in the brain, in millimetres from `reference`."""

    ap_in_mm: float
    ml_in_mm: float
    dv_in_mm: float
    reference: Text
    """Such as ``bregma at the cortical surface``."""
    hemisphere: Literal["left", "right", "bilateral"]


class LightSourceFacts(Section):
    """The light source."""

    name: Text
    manufacturer: Text
    source_type: Literal["laser", "LED"]
    wavelength_in_nm: float = Field(gt=0)
    power_in_mW: float = Field(gt=0)  # noqa: N815 (NWB's name)
    """At the fibre's tip with amplitude 1; a pulse of amplitude 0.5 has half of it."""
    excitation_mode: Text = "one-photon"
    model_number: Text | None = None


class FibreFacts(Section):
    """The optical fibre."""

    name: Text
    manufacturer: Text
    numerical_aperture: float = Field(gt=0)
    insertion: Place
    core_diameter_in_um: float | None = Field(None, gt=0)
    model_number: Text | None = None


class InjectionFacts(Section):
    """The viral vector, and where it was injected."""

    construct_name: Text
    manufacturer: Text
    titer_in_vg_per_ml: float = Field(gt=0)
    location: Text
    volume_in_uL: float = Field(gt=0)  # noqa: N815 (NWB's name)
    place: Place


class EffectorFacts(Section):
    """What the light acts on."""

    name: Text
    label: Text
    """Such as ``ChR2-eYFP``."""
    description: Text | None = None


class OptogeneticsFacts(Section):
    """What the pulses did in the animal: all that ndx-optogenetics demands."""

    source: LightSourceFacts
    fibre: FibreFacts
    effector: EffectorFacts
    injection: InjectionFacts | None = None


class Metadata(Section):
    """What a metadata file holds."""

    session: SessionFacts = SessionFacts()
    subject: SubjectFacts | None = None
    optogenetics: OptogeneticsFacts | None = None

    @model_validator(mode="after")
    def _age_or_birth(self) -> Metadata:
        subject = self.subject
        if subject is not None and subject.age is not None and subject.date_of_birth is not None:
            raise contradiction("with date_of_birth the age follows: leave one of them out", "subject", "age")
        return self


def read_metadata(path: Path, session: Session | None) -> Metadata:
    """Read a metadata file.

    Parameters
    ----------
    path : Path
    session : Session or None
        What it must not contradict; None for a keypoint file, which must have a start.

    Raises
    ------
    ConfigError
        Each fault with file, line and field, all of them; or each field that contradicts the session.
    """
    document = read_document(
        path, "a metadata file", shape="a metadata file has the sections session, subject, optogenetics"
    )
    said = document.checked(Metadata)
    if refused := list(_contradictions(document, said, recorded_facts(session))):
        raise ConfigError("\n".join(refused))
    if session is None and said.session.session_start_time is None:
        raise document.refusal(
            "missing; a keypoint file does not say when it was recorded", "session", "session_start_time"
        )
    return said


def recorded_facts(session: Session | None) -> dict[tuple[str, str], Any]:
    """Return what a session recorded of the fields of `Metadata`, by section and field."""
    if session is None:
        return {}
    facts: dict[tuple[str, str], Any] = {}
    if session.opened is not None:
        facts["session", "session_start_time"] = utc(session.opened.wall_ns)
        facts["session", "session_id"] = session.opened.session
    said = _recorded_section(session)
    if said.get("subject"):
        facts["subject", "subject_id"] = str(said["subject"])
    for name in ("lab", "institution"):
        if said.get(name):
            facts["session", name] = str(said[name])
    return facts


def _recorded_section(session: Session) -> Mapping[str, Any]:
    """Return the section ``session`` of the recorded rig, as far as it is there."""
    import yaml

    said = session.configuration
    try:
        found = {} if said is None else yaml.safe_load(said.rig).get("session")
    except (yaml.YAMLError, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}


def _contradictions(
    document: Document, said: Metadata, recorded: Mapping[tuple[str, str], Any]
) -> Iterator[str]:
    for (section, name), fact in recorded.items():
        stated = getattr(getattr(said, section), name, None)
        if stated is None or stated == fact:
            continue
        if isinstance(fact, datetime) and abs(stated - fact) <= _SAME:
            continue
        shown, other = (
            each.isoformat(timespec="seconds") if isinstance(each, datetime) else repr(each)
            for each in (stated, fact)
        )
        yield str(document.refusal(f"{shown}, but the session recorded {other}", section, name))


def metadata_template(session: Session | None) -> str:
    """Return a metadata file to be filled in, with what is recorded filled in already."""
    recorded = recorded_facts(session)

    def known(section: str, name: str, example: str) -> str:
        fact = recorded.get((section, name))
        if fact is None:
            return example
        return json.dumps(fact.isoformat() if isinstance(fact, datetime) else fact)

    begun = known("session", "session_start_time", "2026-01-31T14:05:00+01:00")
    start = "recorded: may be left out" if session is not None else "with its time zone; must stand here"
    subject = known("subject", "subject_id", "mouse-1")
    return _TEMPLATE.format(start=begun, about_start=start, subject=subject)


_TEMPLATE = """\
# What an NWB file says of the experiment beside what rtface records. Names are those of NWB.
# Remove what does not apply: nothing but subject_id and what a section demands must be there.
session:
  session_description: head-fixed mouse, keypoints of its face in real time
  session_start_time: {start}  # {about_start}
  experimenter: ["Last, First"]
  lab: name of the lab
  institution: name of the institution
  experiment_description: what it was for
  keywords: [mouse, face, closed loop]
  # related_publications: [doi:10.1000/182]
  # protocol, surgery, pharmacology, virus, stimulus_notes, notes: any text
subject:
  subject_id: {subject}
  species: Mus musculus
  sex: U  # M, F, U (unknown) or O (other)
  age: P90D  # an ISO 8601 duration; or date_of_birth: 2026-01-31
  strain: C57BL/6J
  # genotype: wild type
  # weight: 0.023 kg
# Remove this section where no light reached the animal: pulses are then written as events, without what is said here.
optogenetics:
  source: {{name: laser, manufacturer: its maker, source_type: laser, wavelength_in_nm: 473, power_in_mW: 5}}
  fibre:
    name: fibre
    manufacturer: its maker
    numerical_aperture: 0.39
    insertion: {{ap_in_mm: 1.5, ml_in_mm: 1.0, dv_in_mm: -0.5, reference: bregma, hemisphere: right}}
  effector: {{name: effector, label: ChR2-eYFP}}
  injection:  # may be left out
    construct_name: AAV5-EF1a-DIO-hChR2(H134R)-eYFP
    manufacturer: its maker
    titer_in_vg_per_ml: 1.0e+12
    location: M1
    volume_in_uL: 0.5
    place: {{ap_in_mm: 1.5, ml_in_mm: 1.0, dv_in_mm: -0.8, reference: bregma, hemisphere: right}}
"""
