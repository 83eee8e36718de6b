// SPDX-License-Identifier: Apache-2.0
// What is in a stream: its tensors, and of a model its size, mixers and state (tensor-stream list, check).
#pragma once

#include "formats/stream/reader.hpp"
#include "libcore/base/control.hpp"

#include <functional>
#include <string>

namespace stillhouse::adapters {

using TellResult = std::function<void(const formats::Value& json, const std::string& text)>;

/// One result for the stream (kind, history, shard), one for each tensor and note, and one for a model: parameters (the
/// elements of its weights, a tied head once; not what is derived from them: filters beside their parameters, spectra,
/// fits, realizations), mixers, and the bytes of state that decoding keeps for a sequence, in f32:
///   each long convolution   signals x (states + first taps - 1), with signals = n head_width, n the channels that are
///   not
///                           kept, and states the largest order of the layer's filters: as realized, else as fitted,
///                           else as trained; unknown (the convolution needs its whole history) without any of these;
///                           and delay x n inputs for each convolution (2 delay n where head_width > 1)
///   linear                  n head_width
///   short convolutions      (taps - 1) n for each of the order + 1 projections;    dense taps  (taps - 1) D
///   window, kept heads, attention   keys and values: 2 head_dim for each head and token, W or the whole context of
///   them
/// Reads the stream to its verified end. Returns the number of tensors.
Index list_stream(formats::StreamReader& reader, const TellResult& tell, const Control& control);

/// Reads everything; Error{bad_data} for a damaged stream and for names that occur twice. Returns the number of
/// tensors.
Index check_stream(formats::StreamReader& reader, const Control& control);

}  // namespace stillhouse::adapters
