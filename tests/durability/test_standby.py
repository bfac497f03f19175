"""What a standby puts in place is what a recovery from the files would."""

from engine.durability.blocks import differences
from engine.durability.file_storage import FileStorage
from engine.durability.pursuit import Pursuit
from engine.durability.recovery import blocks_of, recover_machine
from engine.topology import DRIVER, plan
from engine.venue import create_private
from tests.durability.folders import SEGMENT_BYTES, Recorder
from tests.sharded import sharded_config, stream
from tools.supervision.standby import inherit


def test_what_is_inherited_is_what_would_be_recovered(tmp_path):
    config = sharded_config(2, 50_000, name="heir", durability="durable")
    recorder = Recorder(tmp_path / "data", config)
    recorder.run(stream(1, 300))
    storage = FileStorage(recorder.folder.path, SEGMENT_BYTES)
    pursuit = Pursuit(recorder.folder, storage, recorder.last)
    list(pursuit.follow(recorder.last))
    recorder.run(stream(2, 100))  # what the standby has not followed when the venue dies

    heir = create_private(config, plan(config, (DRIVER,), cores=[0]))
    inherit(heir, pursuit)
    recovered = create_private(config, plan(config, (DRIVER,), cores=[0]))
    recover_machine(recovered, recorder.folder.path)
    others = blocks_of(recovered)
    for name, block in blocks_of(heir).items():
        assert not list(differences(block, others[name])), name
    for name, ring in heir.rings.items():
        other = recovered.rings[name]
        assert ring.producer.position == other.producer.position, name
        for one, two in zip(ring.readers, other.readers, strict=True):
            assert one.position == two.position, name
    mark = heir.counters.durable
    assert (mark.dseq, mark.term) == (recorder.last, 2)
    assert mark.term == recovered.counters.durable.term
    pursuit.free()
    recorder.close()
