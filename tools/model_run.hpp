// SPDX-License-Identifier: Apache-2.0
// What the tools on networks share: a backend as the options of the command ask for, and a model with its notices.
#pragma once

#include "libcore/compute/backend.hpp"
#include "tools/adapters/model/model.hpp"
#include "tools/cli/context.hpp"

#include <string>

namespace stillhouse {

/// body(backend, T{}) at a precision (--precision where none is given), --device and --threads: T = double for f64,
/// float for f32 and bf16 (products of bf16 operands, everything else in f32).
template <class Body>
auto with_backend(cli::Context& context, const std::string& precision, Body&& body)
{
    using compute::Precision;
    const Precision arithmetic = precision == "f64"    ? Precision::f64
                                 : precision == "bf16" ? Precision::bf16
                                                       : Precision::f32;
    const auto backend = compute::make_backend(context.device(), arithmetic, context.threads());
    return arithmetic == Precision::f64 ? body(*backend, double{}) : body(*backend, float{});
}

template <class Body>
auto with_backend(cli::Context& context, Body&& body)
{
    return with_backend(context, context.precision(), std::forward<Body>(body));
}

/// A whole model from a folder or stream; what was left out of it is told with --verbose.
template <class T>
adapters::Model<T> load_model(const std::string& path, cli::Context& context)
{
    auto source = adapters::ModelSource::open(
        path, [&](const std::string& message) { context.info(message); },
        [&](const std::string& name) { return context.open_stream(name); });
    return source.template load<T>();
}

}  // namespace stillhouse
