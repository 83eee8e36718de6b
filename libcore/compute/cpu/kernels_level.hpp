// SPDX-License-Identifier: Apache-2.0
// Gathers the kernels of the including file in its table of functions.
#pragma once

#include "libcore/compute/cpu/kernels_elements.hpp"
#include "libcore/compute/cpu/kernels_fft.hpp"
#include "libcore/compute/cpu/kernels_packed.hpp"
#include "libcore/compute/cpu/kernels_products.hpp"

namespace {

template <class T>
constexpr stillhouse::compute::cpu::Kernels<T> kernels_here()
{
    return {{tile_rows, panel_vectors * Lanes<T>::count, multiply_panel<Lanes<T>, tile_rows>, transpose<T>,
             copy_block<T, panel_vectors * Lanes<T>::count>},
            {Lanes<T>::count, transform_filters<Lanes<T>>, transform_convolve<Lanes<T>>,
             transform_correlate<Lanes<T>>, transform_lags<Lanes<T>>},
            dots<T>,
            dot_of<T>,
            axpy_of<T>,
            combine_rows<T>,
            sum_of<T>,
            sum_of_squares<T>,
            largest_of<T>,
            normalise<T>,
            normalise_backward<T>,
            adamw_of<T>,
            {weigh_rows<T>, add_row_products<T>, add_row<T>, multiply_row<T>, add_product_row<T>}};
}

constexpr stillhouse::compute::cpu::Level level_here(
    const char* name, const stillhouse::compute::cpu::Panels<float, stillhouse::compute::cpu::Pair>* pairs)
{
    return {name,
            kernels_here<float>(),
            kernels_here<double>(),
            pairs,
            packed_here(),
            map_exp,
            map_erf,
            map_tanh,
            map_sin,
            map_cos,
            map_sigmoid,
            map_gelu_erf,
            map_gelu_tanh,
            map_silu,
            gelu_erf_backward,
            gelu_tanh_backward,
            silu_backward,
            round_bf16,
            pair_rows,
            pair_along};
}

}  // namespace
