"""Text, time-aware and joint experts: shapes, absence, and what must not matter."""

import pytest
import torch

from i2m2_med.experts.grud import GRUD, GRUDEncoder
from i2m2_med.experts.joint import Joint, SeriesEncoder, StaticEncoder
from i2m2_med.experts.notes import AttentionPool, NotesAttention, NotesEncoder, trimmed


@pytest.fixture
def tokens() -> torch.Tensor:
    torch.manual_seed(0)
    made = torch.randint(1, 50, (5, 3, 7))
    made[1, 2] = 0
    made[2, 1:, :] = 0
    made[3, 0, 4:] = 0
    return made


@pytest.mark.parametrize(("labels", "classes"), [(1, 6), (3, 2)])
def test_notes_give_logits_for_every_label(tokens: torch.Tensor, labels: int, classes: int) -> None:
    assert NotesAttention(50, 8, labels=labels, classes=classes)(tokens).shape == (5, labels, classes)


def test_padding_and_order_of_chunks_do_not_matter(tokens: torch.Tensor) -> None:
    network = NotesAttention(50, 8).eval()
    padded = torch.nn.functional.pad(tokens, (0, 4, 0, 2))
    torch.testing.assert_close(network(padded), network(tokens))
    torch.testing.assert_close(network(tokens[:, [2, 0, 1]]), network(tokens))


def test_no_note_at_all_is_finite() -> None:
    network = NotesAttention(50, 8)
    said = network(torch.zeros(2, 3, 7, dtype=torch.int64))
    said.sum().backward()
    assert said.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


def test_trimmed_keeps_every_token(tokens: torch.Tensor) -> None:
    padded = torch.nn.functional.pad(tokens, (0, 4, 0, 2))
    assert torch.equal(trimmed(padded), tokens)


def test_attention_ignores_what_is_not_there() -> None:
    pool = AttentionPool(4)
    parts = torch.randn(2, 5, 4)
    there = torch.tensor([True, False, True, True, False]).expand(2, 5)
    torch.testing.assert_close(pool(parts, there), pool(parts[:, [0, 2, 3]], torch.ones(2, 3, dtype=torch.bool)))


def test_grud_is_a_gru_where_everything_is_measured() -> None:
    torch.manual_seed(0)
    encoder = GRUDEncoder(3, 5, 4)
    value = torch.randn(2, 5, 3)
    series = torch.cat([value, torch.ones_like(value), torch.zeros_like(value)], dim=2)
    with torch.no_grad():
        encoder.forget.bias.zero_()
    plain = torch.nn.GRU(6, 4, batch_first=True)
    plain.load_state_dict({f"{name}_l0": tensor for name, tensor in encoder.cell.state_dict().items()})
    states, _ = plain(torch.cat([value, torch.ones_like(value)], dim=2))
    torch.testing.assert_close(encoder(series), states.flatten(1))


def test_grud_lets_old_values_fade_to_the_mean() -> None:
    encoder = GRUDEncoder(2, 4, 3)
    with torch.no_grad():
        encoder.fade_weight.fill_(1e6)
    absent = torch.zeros(1, 4, 2)
    since = torch.ones(1, 4, 2)
    said = [encoder(torch.cat([torch.full((1, 4, 2), value), absent, since], dim=2)) for value in (0.0, 9.0)]
    torch.testing.assert_close(said[0], said[1])


def test_grud_says_what_columns_it_needs() -> None:
    assert GRUD(3, 4, labels=2, classes=3)(torch.randn(2, 4, 9)).shape == (2, 2, 3)
    with pytest.raises(ValueError, match=r"reads 9 columns \(value, mask, since\), but the series has 3"):
        GRUD(3, 4)(torch.randn(2, 4, 3))


def test_joint_over_every_subset(tokens: torch.Tensor) -> None:
    inputs = {
        "static": torch.randn(5, 4),
        "series": torch.randn(5, 6, 3),
        "grud": torch.randn(5, 6, 9),
        "notes": tokens,
    }
    makers = {
        "static": lambda: StaticEncoder(4),
        "series": lambda: SeriesEncoder(3, 6),
        "grud": lambda: GRUDEncoder(3, 6),
        "notes": lambda: NotesEncoder(50, 8),
    }
    for reads in (["static", "notes"], ["series", "notes"], ["static", "series"], ["static", "grud", "notes"]):
        joint = Joint([makers[name]() for name in reads], labels=2, classes=3)
        assert joint(*(inputs[name] for name in reads)).shape == (5, 2, 3)
        with pytest.raises(ValueError, match="was given 1 modalities"):
            joint(inputs[reads[0]])


def test_notes_learn_a_word() -> None:
    torch.manual_seed(0)
    tokens = torch.randint(2, 50, (128, 2, 9))
    target = torch.arange(128) % 2
    tokens[target == 1, 1, 4] = 1
    network = NotesAttention(50, 8, dropout=0.0)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.02)
    for _ in range(60):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(network(tokens)[:, 0], target).backward()
        optimiser.step()
    assert (network(tokens)[:, 0].argmax(1) == target).float().mean() > 0.95
