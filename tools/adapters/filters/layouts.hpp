// SPDX-License-Identifier: Apache-2.0
// Modes in the arrays that other programs load (tensor-stream export, import --layout).
#pragma once

#include "tools/adapters/streams/array_files.hpp"
#include "tools/adapters/filters/filters.hpp"

#include <complex>

namespace stillhouse::adapters {

/// All F32, for D filters of S complex modes each, h_t over lags from 0:
/// stripedhyena: poles p and residues r [D, S, 1, 2], D [D]: h_t = Re sum_s r_s p_s^t, and D more at lag 0.
/// s4d (as H3 holds it, bilinear): log_dt [D], inv_A_real and A_imag [D, S], B (1) [D, S, 2], C [1, D, S, 2], D [D]:
/// a = exp(log_dt) (-exp(inv_A_real) + i A_imag), p = (1 + a/2) / (1 - a/2),
/// h_t = 2 Re sum_s B C exp(log_dt) / (1 - a/2) p^t, and D more at lag 0. We write log_dt = 0.
enum class Layout { stripedhyena, s4d };

/// The modes of D filters from lag 0 on: h_t = Re sum_s r_s p_s^t, and `direct` more at lag 0; [D, S] row-major.
struct LaidOutModes {
    Index filters = 0, modes = 0;
    std::vector<std::complex<double>> poles, residues;
    std::vector<double> direct;
};

/// Residues at lag 0 are those at lag 1 over the pole. Error{unsupported}: a filter with more than one first tap.
LaidOutModes laid_out(const ModeBank& bank);

/// The arrays of `base`, rounded to F32, and the modes back from such arrays (by the last parts of their names).
/// Error{bad_data}: shapes that do not fit, a pole that does not decay.
std::vector<formats::Tensor> layout_tensors(const std::string& base, const LaidOutModes& modes, Layout layout);
LaidOutModes modes_from_layout(const std::map<std::string, formats::Tensor>& parts, Layout layout);

/// Every fit (or realization) of a stream into one .safetensors file in a layout; returns how many filter tensors. What
/// is written is read back and compared with the modes over the filter's length: `notice` hears of more than 1e-4
/// (relative l2); Error{unsupported} above 1e-2, where residues cancel or poles are too near the circle for F32.
Index export_layout(ArrayInput& input, const std::string& path, formats::Overwrite overwrite, Layout layout,
                    const TellNotice& notice);

/// Arrays in a layout as ....poles, .residues (C128, [D, S]) and .fir (F64, [D, 1]), which realize-ssm takes; all
/// others as they are. Returns how many tensors of filters. Error{bad_data}: none.
Index import_layout(const ArrayFiles& arrays, Layout layout, formats::StreamWriter& writer, const TellNotice& notice);

}  // namespace stillhouse::adapters
