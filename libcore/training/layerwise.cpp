// SPDX-License-Identifier: Apache-2.0
// Layer by layer transfer.
#include "libcore/training/layerwise.hpp"

#include "libcore/models/scratch.hpp"
#include "libcore/training/trainable.hpp"

#include <cmath>

namespace stillhouse::training {

std::vector<std::string> layerwise_weights(const models::NetworkConfig& config)
{
    std::vector<std::string> names;
    for (const auto& weight : models::network_weights(config)) {
        if (weight.name.find(".mixer.") != std::string::npos && trained_by_default(weight.name)) {
            names.push_back(weight.name);
        }
    }
    return names;
}

template <class T>
struct LayerwiseTrainer<T>::Layer {
    std::unique_ptr<models::Mixer<T>> attention;
    models::Parameters<T> gradient;
    std::unique_ptr<AdamW<T>> optimizer;
    double scale = 0.0;                  // 1 / the loss's denominator over the step
    double loss = 0.0;
};

template <class T>
LayerwiseTrainer<T>::LayerwiseTrainer(models::Network<T>& student, const models::NetworkConfig& teacher,
                                      const models::Parameters<T>& attention, LayerwiseOptions options)
    : student_(student), options_(options)
{
    if (options.schedule == LayerSchedule::joint && options.objective == Objective::mixer) {
        throw_error(ErrorCode::bad_argument,
                    "the joint schedule goes through whole blocks: it needs the block objective");
    }
    const auto& config = student.config();
    for (Index i = 0; i < config.layers; ++i) {
        layers_.emplace_back();
        if (config.mixers[static_cast<std::size_t>(i)].kind == models::MixerKind::attention) {
            continue;
        }
        auto layer = std::make_unique<Layer>();
        layer->attention = models::make_mixer<T>(teacher, i, attention);
        const std::string prefix = "layers." + std::to_string(i) + ".mixer.";
        for (const auto& entry : student.weights()) {
            if (entry.name.starts_with(prefix) && trained_by_default(entry.name)) {
                layer->gradient.add(entry.name, entry.shape);
            }
        }
        layer->optimizer = std::make_unique<AdamW<T>>(layer->gradient, options.adamw);
        layers_.back() = std::move(layer);
    }
    if (trained_layers() == 0) {
        throw_error(ErrorCode::bad_argument, "every layer stays attention: there is nothing to train");
    }
}

template <class T>
LayerwiseTrainer<T>::~LayerwiseTrainer() = default;

template <class T>
AdamW<T>* LayerwiseTrainer<T>::optimizer(Index layer)
{
    auto& of_layer = layers_.at(static_cast<std::size_t>(layer));
    return of_layer != nullptr ? of_layer->optimizer.get() : nullptr;
}

template <class T>
void LayerwiseTrainer<T>::resume_at(Index steps)
{
    steps_ = steps;
    student_.refresh();
}

template <class T>
Index LayerwiseTrainer<T>::trained_layers() const
{
    Index n = 0;
    for (const auto& layer : layers_) {
        n += layer != nullptr ? 1 : 0;
    }
    return n;
}

namespace {

/// |a - b|^2 in eight lanes, and into d (a - b) * factor.
template <class T>
double squared_difference(const T* a, const T* b, Index n, double factor, T* d)
{
    constexpr Index lanes = 8;
    double sums[lanes] = {};
    const auto add = [&](Index i, Index lane) {
        const double x = static_cast<double>(a[i]) - static_cast<double>(b[i]);
        sums[lane] += x * x;
        if (d != nullptr) {
            d[i] = static_cast<T>(x * factor);
        }
    };
    Index i = 0;
    for (; i + lanes <= n; i += lanes) {
        for (Index lane = 0; lane < lanes; ++lane) {
            add(i + lane, lane);
        }
    }
    for (; i < n; ++i) {
        add(i, i % lanes);
    }
    return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

/// Element ranges of fixed size over the pool, their sums added in order.
template <class T>
double squared_difference(ThreadPool& pool, const T* a, const T* b, Index n, double factor, T* d)
{
    constexpr Index tile = 1 << 16;
    const Index tiles = (n + tile - 1) / tile;
    std::vector<double> sums(static_cast<std::size_t>(tiles));
    pool.for_each(tiles, [&](Index t) {
        const Index at = t * tile;
        sums[static_cast<std::size_t>(t)] =
            squared_difference(a + at, b + at, std::min(tile, n - at), factor, d != nullptr ? d + at : nullptr);
    });
    double sum = 0.0;
    for (const double part : sums) {
        sum += part;
    }
    return sum;
}

}  // namespace

template <class T>
std::vector<double> LayerwiseTrainer<T>::step(const std::vector<const Activations<T>*>& pieces)
{
    const auto& config = student_.config();
    auto& ops = student_.ops();
    auto& pool = ops.pool();
    const Index width = config.width;
    const bool joint = options_.schedule == LayerSchedule::joint;
    const bool block = options_.objective == Objective::block;

    // progressive counts the layers that are trained, not those that stay attention
    Index active = -1;
    if (options_.schedule == LayerSchedule::progressive) {
        Index rank = std::min(steps_ / std::max<Index>(1, options_.steps_a_layer), trained_layers() - 1);
        for (active = 0; layers_[static_cast<std::size_t>(active)] == nullptr || rank-- > 0; ++active) {
        }
    }
    const auto trains = [&](Index i) {
        return layers_[static_cast<std::size_t>(i)] != nullptr && (active < 0 || i == active);
    };

    for (Index i = 0; i < config.layers; ++i) {
        if (!trains(i)) {
            continue;
        }
        Layer& layer = *layers_[static_cast<std::size_t>(i)];
        layer.gradient.fill_zero();
        layer.loss = 0.0;
        double square = 0.0;
        for (const auto* piece : pieces) {
            const auto x = piece->stream(i, width);
            if (block) {
                square += squared_difference<T>(pool, piece->stream(i + 1, width).data, x.data, x.size(), 0.0, nullptr);
            } else {
                // the teacher's own mixer outputs, which no drift has touched
                Buffer<T> a(x.size()), zero(x.size());
                mixer_target<T>(student_, *layer.attention, i, *piece, x, {a.data(), x.batch, x.length, width});
                square += squared_difference<T>(pool, a.data(), zero.data(), a.size(), 0.0, nullptr);
            }
        }
        layer.scale = 1.0 / std::max(square, 1e-300);
    }

    models::Dropout dropout{options_.dropout, options_.seed, static_cast<std::uint64_t>(steps_), 0};
    for (const auto* piece : pieces) {
        models::Scratch<T> stream(piece->size() * width);
        const Sequences<T> s(stream.data(), piece->batch, piece->length, width);
        std::copy_n(piece->residual.front().data(), s.size(), s.data);
        tapes_.resize(joint ? static_cast<std::size_t>(config.layers) : 1);
        std::vector<models::Scratch<T>> losses(tapes_.size());
        const Index last = active >= 0 ? active + 1 : config.layers;
        for (Index i = 0; i < last; ++i) {
            if (options_.schedule == LayerSchedule::forced) {
                const auto x = piece->stream(i, width);
                std::copy_n(x.data, x.size(), s.data);
            }
            const auto slot = static_cast<std::size_t>(joint ? i : 0);
            if (!trains(i) && !joint) {
                student_.layer(i, s, s, nullptr);
                continue;
            }
            models::Scratch<T>& d = losses[slot];
            d = models::Scratch<T>(s.size());
            if (trains(i) && !block) {
                Layer& layer = *layers_[static_cast<std::size_t>(i)];
                models::Scratch<T> target(s.size());
                mixer_target<T>(student_, *layer.attention, i, *piece, s, {target.data(), s.batch, s.length, width});
                models::Scratch<T> mixed(s.size());
                models::Scratch<T> normed(s.size());
                const Sequences<T> input(normed.data(), s.batch, s.length, width);
                student_.mixer_input(i, s, input);
                std::unique_ptr<models::MixerTape> tape;
                const Sequences<T> m(mixed.data(), s.batch, s.length, width);
                student_.mixer(i).forward(ops, input, m, &tape);
                if (dropout.active()) {
                    models::drop(pool, dropout, models::Dropout::at_mixer(i), m.data, s.size(), m.data);
                }
                layer.loss += layer.scale * squared_difference<T>(pool, mixed.data(), target.data(), d.size(),
                                                                  2.0 * layer.scale, d.data());
                if (dropout.active()) {
                    models::drop(pool, dropout, models::Dropout::at_mixer(i), d.data(), s.size(), d.data());
                }
                student_.mixer(i).backward(ops, *tape, input, Sequences<const T>(d.data(), s.batch, s.length, width),
                                           {}, layer.gradient);
                student_.layer(i, s, s, nullptr);
                continue;
            }
            models::LayerTape<T>& tape = tapes_[slot];
            tape.dropout = trains(i) ? dropout : models::Dropout{};
            models::Scratch<T> after(s.size());
            const Sequences<T> out(after.data(), s.batch, s.length, width);
            student_.layer(i, s, out, &tape);
            if (trains(i)) {
                Layer& layer = *layers_[static_cast<std::size_t>(i)];
                layer.loss += layer.scale * squared_difference<T>(pool, out.data, piece->stream(i + 1, width).data,
                                                                  s.size(), 2.0 * layer.scale, d.data());
                if (!joint) {
                    const Sequences<T> dout(d.data(), s.batch, s.length, width);
                    student_.layer_backward(i, tape, dout, {}, layer.gradient);
                }
            }
            std::copy_n(out.data, s.size(), s.data);
        }
        if (joint) {
            models::Scratch<T> carried(s.size());
            const Sequences<T> d(carried.data(), s.batch, s.length, width);
            std::fill_n(carried.data(), s.size(), T(0));
            models::Parameters<T> none;
            for (Index i = config.layers - 1; i >= 0; --i) {
                const auto at = static_cast<std::size_t>(i);
                if (trains(i)) {
                    for (Index j = 0; j < s.size(); ++j) {
                        carried.data()[j] += losses[at].data()[j];
                    }
                }
                student_.layer_backward(i, tapes_[at], d, d, trains(i) ? layers_[at]->gradient : none);
            }
        }
        dropout.first += static_cast<std::uint64_t>(s.size());
    }

    std::vector<double> result(static_cast<std::size_t>(config.layers));
    for (Index i = 0; i < config.layers; ++i) {
        if (!trains(i)) {
            continue;
        }
        Layer& layer = *layers_[static_cast<std::size_t>(i)];
        if (!std::isfinite(layer.loss)) {
            throw_error(ErrorCode::bad_data, "layer " + std::to_string(i) + ": the loss is not finite at step " +
                                                 std::to_string(steps_) + "; lower --lr or look for NaN in the input");
        }
        result[static_cast<std::size_t>(i)] = layer.loss;
        clip(pool, layer.gradient, options_.clip);
        const Index at = active >= 0 ? layer.optimizer->steps() : steps_;
        layer.optimizer->step(pool, layer.gradient, options_.rate.at(at), student_.weights());
    }
    ++steps_;
    student_.refresh();
    return result;
}

template class LayerwiseTrainer<float>;
template class LayerwiseTrainer<double>;

}  // namespace stillhouse::training
