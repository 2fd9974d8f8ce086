"""From the folder of an audit and its summary to the report."""

from detector.bundle import Bundle
from models.preprocessing import Preprocessing
from service.images import DEFAULT_LIMITS, DecodingLimits
from service.offline.folder.audit_folder import AuditFolder
from service.offline.folder.contract import read_contract
from service.offline.reading.item_reader import ItemReader
from service.offline.report.lookup import places_of
from service.offline.report.page import write_report
from service.offline.report.pictures import make_pictures
from service.offline.summary.summary_types import Summary


def report_audit(
    folder: AuditFolder,
    summary: Summary,
    *,
    bundle: Bundle,
    reader: ItemReader,
    limits: DecodingLimits = DEFAULT_LIMITS,
) -> None:
    """Write `report.html`: reads the images that it shows again, and judges nothing.

    Args:
        summary: its ranked images are those that are shown.
        bundle: what the images were judged with; its prototypes are shown.

    Raises:
        InputError: the folder holds no audit, or its listing is damaged.
        OSError: the disk or the network failed.
    """
    examples = [path for cluster in summary.clusters.clusters for path in cluster.examples]
    pictures = make_pictures(
        summary,
        places_of(folder.path, examples),
        folder.read_shard,
        reader=reader,
        bundle=bundle,
        preprocessing=Preprocessing.from_dict(read_contract(folder.path).preprocessing),
        limits=limits,
    )
    write_report(folder.path, summary, pictures)
