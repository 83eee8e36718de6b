// SPDX-License-Identifier: Apache-2.0
// Which layers or heads of a teacher cost most to replace.
#include "tools/adapters/training/keep_costs.hpp"

#include "libcore/training/closed_start.hpp"
#include "libcore/training/loss.hpp"
#include "tools/adapters/training/activation_batches.hpp"

#include <algorithm>
#include <cstdio>

namespace stillhouse::adapters {

namespace {

constexpr Index head_rows = 256;                 // logits alive at a time

/// --keep for all but this layer, or all but this head.
std::vector<std::string> all_but(const models::NetworkConfig& teacher, const ReplacementCost& one)
{
    std::vector<std::string> keep;
    for (Index layer = 0; layer < teacher.layers; ++layer) {
        if (layer != one.layer) {
            keep.push_back(std::to_string(layer));
        }
    }
    for (Index head = 0; one.head >= 0 && head < teacher.heads; ++head) {
        if (head != one.head) {
            keep.push_back(std::to_string(one.layer) + ":" + std::to_string(head));
        }
    }
    return keep;
}

/// Sum of KL(teacher || student) over the tokens of a batch, from `layer` on.
template <class T>
double divergence(const models::Network<T>& student, const training::Activations<T>& batch, Index layer)
{
    const auto& config = student.config();
    Buffer<T> stream = batch.residual[static_cast<std::size_t>(layer)].clone();
    const Sequences<T> s(stream.data(), batch.batch, batch.length, config.width);
    for (Index i = layer; i < config.layers; ++i) {
        student.layer(i, s, s, nullptr);
    }
    const Matrix<T> found(stream.data(), batch.size(), config.width);
    const Matrix<const T> wanted(batch.residual.back().data(), batch.size(), config.width);
    Buffer<T> logits(head_rows * config.vocabulary), taught(logits.size());
    double sum = 0.0;
    for (Index first = 0; first < batch.size(); first += head_rows) {
        const Index n = std::min(head_rows, batch.size() - first);
        const Matrix<T> l(logits.data(), n, config.vocabulary), t(taught.data(), n, config.vocabulary);
        student.head({found.row(first), n, config.width}, l);
        student.head({wanted.row(first), n, config.width}, t);
        sum += static_cast<double>(n) *
               training::logit_loss<T>(student.ops(), training::LogitLoss::kl, l, t, nullptr, T(1), l);
    }
    return sum;
}

template <class T>
double cost(const models::NetworkConfig& teacher, const models::Parameters<T>& weights, StudentOptions options,
            const ReplacementCost& one, const std::vector<training::Activations<T>>& fitted,
            const std::vector<training::Activations<T>>& measured, std::uint64_t seed, compute::Operations<T>& ops,
            const Control& control)
{
    options.keep = all_but(teacher, one);
    if (one.head >= 0 && options.heads && options.mixer != "multihyena") {
        options.heads = std::max<Index>(1, *options.heads / teacher.heads);   // its share of the layer's
    }
    const auto config = student_config(teacher, options, fitted.front().length);
    auto own = weights.clone();
    const auto attention = take_attention(teacher, config, own);
    models::initialize_mixer(config, one.layer, seed, own);
    models::Network<T> student(config, std::move(own), ops);
    Control quiet = control;
    quiet.progress = nullptr;
    training::closed_start(student, teacher, attention, fitted, training::Refit::yes, quiet);
    double sum = 0.0;
    Index tokens = 0;
    for (const auto& batch : measured) {
        control.throw_if_stopped();
        sum += divergence(student, batch, one.layer);
        tokens += batch.size();
    }
    return sum / static_cast<double>(tokens);
}

}  // namespace

std::vector<ReplacementCost> costliest(const std::vector<ReplacementCost>& costs, Index n)
{
    std::vector<ReplacementCost> first;
    Index layers = 0, heads = 0;
    for (const auto& one : costs) {
        if ((one.head < 0 ? layers++ : heads++) < n) {
            first.push_back(one);
        }
    }
    return first;
}

std::string cost_table(const std::vector<ReplacementCost>& costs)
{
    std::string table = "what   KL, nats a token, if it alone is replaced\n", layers, heads;
    for (const auto& one : costs) {
        char line[64];
        std::snprintf(line, sizeof line, "%-6s %.4g\n", one.item().c_str(), one.kl);
        table += line;
        std::string& keep = one.head < 0 ? layers : heads;
        keep += (keep.empty() ? "" : ",") + one.item();
    }
    return table + "layers: --keep " + layers + "\n" + (heads.empty() ? "" : "heads:  --keep " + heads + "\n");
}

template <class T>
std::vector<ReplacementCost> replacement_costs(const models::NetworkConfig& teacher,
                                               const models::Parameters<T>& weights, const StudentOptions& options,
                                               std::vector<training::Activations<T>> batches, std::uint64_t seed,
                                               compute::Operations<T>& ops, const Control& control)
{
    const auto half = static_cast<std::ptrdiff_t>((batches.size() + 1) / 2);
    std::vector<training::Activations<T>> rest(std::make_move_iterator(batches.begin() + half),
                                               std::make_move_iterator(batches.end()));
    batches.resize(static_cast<std::size_t>(half));
    if (rest.empty()) {
        training::Activations<T>& only = batches.front();
        if (only.batch < 2) {
            throw_error(ErrorCode::bad_data, "--suggest-keep fits on one half of the sequences and measures on the "
                                             "other, and there is one; give a longer dump, or shorter rows");
        }
        rest.push_back(rows_of(only, only.batch / 2, only.batch - only.batch / 2));
        only = rows_of(only, 0, only.batch / 2);
    }
    std::vector<ReplacementCost> costs;
    for (Index layer = 0; layer < teacher.layers; ++layer) {
        costs.push_back({layer, -1, 0.0});
    }
    for (Index layer = 0; layer < teacher.layers; ++layer) {
        for (Index head = 0; head < teacher.heads && teacher.heads > 1; ++head) {
            costs.push_back({layer, head, 0.0});
        }
    }
    Index done = 0;
    for (auto& one : costs) {
        control.at(done++, static_cast<Index>(costs.size()), "replacing " + one.item());
        one.kl = cost(teacher, weights, options, one, batches, rest, seed, ops, control);
    }
    const auto costlier = [](const ReplacementCost& a, const ReplacementCost& b) { return a.kl > b.kl; };
    std::stable_sort(costs.begin(), costs.begin() + teacher.layers, costlier);
    std::stable_sort(costs.begin() + teacher.layers, costs.end(), costlier);
    return costs;
}

template std::vector<ReplacementCost> replacement_costs<float>(const models::NetworkConfig&,
                                                               const models::Parameters<float>&, const StudentOptions&,
                                                               std::vector<training::Activations<float>>,
                                                               std::uint64_t, compute::Operations<float>&,
                                                               const Control&);
template std::vector<ReplacementCost> replacement_costs<double>(const models::NetworkConfig&,
                                                                const models::Parameters<double>&,
                                                                const StudentOptions&,
                                                                std::vector<training::Activations<double>>,
                                                                std::uint64_t, compute::Operations<double>&,
                                                                const Control&);

}  // namespace stillhouse::adapters
