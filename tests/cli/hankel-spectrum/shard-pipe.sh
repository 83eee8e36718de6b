# SPDX-License-Identifier: Apache-2.0
# A pipe does not tell how many filters come.
hankel-spectrum -q filters.npy | hankel-spectrum -q --shard 1/2 >out.mts
