// SPDX-License-Identifier: Apache-2.0
// Curves as an SVG picture, drawn by gnuplot.
#pragma once

#include <string>
#include <vector>

namespace stillhouse::adapters {

struct Curve {
    std::string title;               // empty: not in the key
    std::vector<double> x, y; // points that are not finite (or, on a logarithmic axis, not positive) are left out
};

enum class Axis { linear, logarithmic };

struct Plot {
    std::string title, x_label, y_label;
    Axis x_axis = Axis::linear, y_axis = Axis::linear;
    std::vector<Curve> curves;
};

/// Error{resource} when there is no gnuplot in PATH: to be asked before long work.
void require_gnuplot();

/// The picture. gnuplot is started without a shell, fed through a pipe and heard through another. Error{resource}: it
/// is absent or fails, with its own first words.
std::string draw_svg(const Plot& plot);

}  // namespace stillhouse::adapters
