// SPDX-License-Identifier: Apache-2.0
// Around the steps of a training.
#include "tools/adapters/training/training_watch.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>

namespace stillhouse::adapters {

namespace {

constexpr Index window = 10;

std::string number(const char* form, double x)
{
    char text[40];
    std::snprintf(text, sizeof text, form, x);
    return text;
}

}  // namespace

double cpu_seconds()
{
    return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

void LossGuard::add(double loss)
{
    if (loss == 0.0) {
        return;
    }
    first_ = n_ == 0 ? loss : first_;
    last_[n_ % (2 * window)] = loss;
    ++n_;
}

double LossGuard::mean(Index back) const
{
    double sum = 0.0;
    Index count = 0;
    for (Index i = std::max<Index>(0, n_ - back - window); i < n_ - back; ++i) {
        sum += last_[i % (2 * window)];
        ++count;
    }
    return sum / static_cast<double>(std::max<Index>(1, count));
}

bool LossGuard::above(double times) const
{
    const double now = mean(0);
    return !std::isfinite(now) || (n_ > window && now > times * std::max(1.0, first_));
}

bool LossGuard::grows() const
{
    return !std::isfinite(mean(0)) || (n_ > 2 * window && mean(0) > 2.0 * mean(window));
}

TrainingWatch::TrainingWatch(Tools tools, Index columns)
    : tools_(std::move(tools)), guards_(static_cast<std::size_t>(columns))
{
}

void TrainingWatch::keep(std::function<CheckpointContent()> content, std::function<std::string()> producer)
{
    content_ = std::move(content);
    producer_ = std::move(producer);
}

void TrainingWatch::recall(std::span<const double> losses, Index tokens)
{
    tokens_before_ = tokens;
    for (std::size_t i = 0; i < losses.size(); ++i) {
        guards_[i % guards_.size()].add(losses[i]);
    }
}

void TrainingWatch::stepped(Index step, Index total, Index tokens, std::span<const double> losses, double rate)
{
    double sum = 0.0;
    Index n = 0;
    for (std::size_t i = 0; i < guards_.size(); ++i) {
        guards_[i].add(losses[i]);
        sum += losses[i];
        n += losses[i] != 0.0 ? 1 : 0;
    }
    const double loss = sum / static_cast<double>(std::max<Index>(1, n));
    const std::chrono::duration<double> since = std::chrono::steady_clock::now() - begin_;
    const double speed = static_cast<double>(tokens - tokens_before_) / std::max(1e-3, since.count());
    tools_.control.at(step, total, "loss " + number("%.4g", loss) + ", " + number("%.0f", speed) + " tokens/s");
    if (tools_.log != nullptr) {
        formats::Map line{{"step", step}, {"tokens", tokens}, {"loss", loss}};
        if (guards_.size() > 1) {
            formats::List layers;
            for (const double of_layer : losses) {
                layers.emplace_back(of_layer);
            }
            line.emplace_back("layers", std::move(layers));
        }
        line.emplace_back("rate", rate);
        line.emplace_back("seconds", since.count());
        line.emplace_back("cpu_seconds", cpu_seconds() - cpu_of_looks_);
        line.emplace_back("tokens_per_s", speed);
        tools_.log->write(line);
    }
    for (std::size_t i = 0; i < guards_.size(); ++i) {
        if (guards_[i].diverged()) {
            throw Diverged("the loss" + (guards_.size() > 1 ? " of layer " + std::to_string(i) : std::string()) +
                           " diverges: " + number("%.3g", guards_[i].recent()) + " at step " + std::to_string(step) +
                           ", it began at " + number("%.3g", guards_[i].first()));
        }
    }
    const bool rising = std::any_of(guards_.begin(), guards_.end(), [](const auto& g) { return g.rising(); });
    if (tools_.checkpoints != nullptr && tools_.checkpoints->due() && !rising) {
        save();
    }
}

void TrainingWatch::looked(Index step, double perplexity, double cpu)
{
    cpu_of_looks_ += cpu;
    if (tools_.log != nullptr) {
        tools_.log->write({{"step", step}, {"perplexity", perplexity}, {"cpu_seconds", cpu_seconds() - cpu_of_looks_}});
    }
}

void TrainingWatch::save()
{
    if (tools_.checkpoints != nullptr && content_) {
        tools_.checkpoints->write(content_());
    }
}

void TrainingWatch::kept(const Error& error)
{
    save();
    if (!tools_.checkpoints->any()) {
        return;
    }
    const std::string skip = producer_ ? producer_() : std::string();
    const std::string hint = skip.empty() ? "" : "; its producer may be run again with" + skip;
    if (error.code() == ErrorCode::stopped) {
        tools_.kept_for_resume();
        if (!skip.empty()) {
            tools_.warn("the checkpoint in " + tools_.checkpoints->folder() + " has seen a part of the input" + hint);
        }
    } else if (error.code() != ErrorCode::broken_pipe) {
        throw Error(error.code(), std::string(error.what()) + "; what was done is kept in " +
                                      tools_.checkpoints->folder() + ": run again with --resume" + hint);
    }
}

bool TrainingWatch::guard(const std::function<void()>& body)
{
    try {
        body();
        return true;
    } catch (const Diverged& diverged) {
        const bool kept = tools_.checkpoints != nullptr && tools_.checkpoints->any();
        tools_.warn(std::string(diverged.what()) + "; nothing is written; lower --lr, or raise --warmup" +
                    (kept ? "; the last checkpoint before it is kept in " + tools_.checkpoints->folder() : ""));
        return false;
    } catch (const Error& error) {
        const ErrorCode code = error.code();
        if (tools_.checkpoints != nullptr && (code == ErrorCode::stopped || code == ErrorCode::bad_data ||
                                              code == ErrorCode::io || code == ErrorCode::broken_pipe)) {
            kept(error);
        }
        throw;
    }
}

void TrainingWatch::done()
{
    if (tools_.checkpoints != nullptr) {
        tools_.checkpoints->clear();
    }
}

}  // namespace stillhouse::adapters
