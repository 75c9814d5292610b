"""Mask ids: rims and masks in one number, there and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ovseg3r_core.mask_ids import MAX_MASKS, as_rim, pack_ids, unpack_ids


@given(arrays(np.int32, (3, 4), elements=st.integers(-1 - MAX_MASKS, MAX_MASKS - 1)))
def test_ids_come_back_as_they_were(ids):
    np.testing.assert_array_equal(unpack_ids(pack_ids(ids)), ids)


def test_a_rim_is_of_its_mask_and_none_is_of_none():
    ids = np.int32([-1, 0, 7])
    assert as_rim(ids).tolist() == [-1, -2, -9]
    assert as_rim(as_rim(ids)).tolist() == ids.tolist()


@pytest.mark.parametrize("beyond", [MAX_MASKS, -2 - MAX_MASKS])
def test_more_masks_than_fit_are_refused(beyond):
    with pytest.raises(ValueError, match="at least 32768 masks; at most 32767"):
        pack_ids(np.int32([[0, beyond]]))


def test_images_of_before_have_no_rims():
    assert unpack_ids(np.uint16([[0, 1, 300]])).tolist() == [[-1, 0, 299]]
