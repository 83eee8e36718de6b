// SPDX-License-Identifier: Apache-2.0
// What a teacher's activations ask of a student's layer.
#include "libcore/training/targets.hpp"

namespace stillhouse::training {

template <class T>
void mixer_target(const models::Network<T>& student, const models::Mixer<T>& attention, Index layer,
                  const Activations<T>& teacher, Sequences<const T> s, Sequences<T> y)
{
    if (student.config().parallel_residual) {
        student.mlp_branch(layer, s, y);
        const auto after = teacher.stream(layer + 1, s.width);
        for (Index i = 0; i < s.size(); ++i) {
            y.data[i] = after.data[i] - s.data[i] - y.data[i];
        }
        return;
    }
    const auto x = teacher.stream(layer, s.width);
    Buffer<T> normed(s.size());
    const Sequences<T> input(normed.data(), s.batch, s.length, s.width);
    student.mixer_input(layer, x, input);
    attention.forward(student.ops(), input, y, nullptr);
    for (Index i = 0; i < s.size(); ++i) {
        y.data[i] = x.data[i] + y.data[i] - s.data[i];
    }
}

template void mixer_target<float>(const models::Network<float>&, const models::Mixer<float>&, Index,
                                  const Activations<float>&, Sequences<const float>, Sequences<float>);
template void mixer_target<double>(const models::Network<double>&, const models::Mixer<double>&, Index,
                                   const Activations<double>&, Sequences<const double>, Sequences<double>);

}  // namespace stillhouse::training
