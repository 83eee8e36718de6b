// SPDX-License-Identifier: Apache-2.0
// An end-to-end training as a checkpoint, and back.
#include "tools/adapters/training/tuning_checkpoint.hpp"

namespace stillhouse::adapters {

std::vector<std::pair<std::string, std::string>> same_tuning(bool teacher, bool dump)
{
    std::vector<std::pair<std::string, std::string>> same{
        {"model", "model"}, {"data", "text or token file"}, {"valid", "--valid"}, {"steps", "text (its length)"}};
    if (teacher) {
        same.emplace_back("teacher", "teacher");
    }
    if (dump) {
        same.emplace_back("dump", "--dump (see its history)");
        same.emplace_back("dump_file", "--dump");
    }
    return same;
}

template <class T>
CheckpointContent checkpoint_of(const TuningState<T>& state, formats::Map record, const RowPosition& rows)
{
    CheckpointContent content;
    const Tuned<T>& done = state.done;
    content.step = done.steps;
    content.record = std::move(record);
    content.record.emplace_back("step", done.steps);
    content.record.emplace_back("tokens", done.tokens);
    content.record.emplace_back("pass", rows.pass);
    content.record.emplace_back("batch", rows.batch);
    content.record.emplace_back("best_look", done.best_look);
    formats::List looks;
    for (const auto& [step, perplexity] : done.valid) {
        looks.emplace_back(formats::List{step, perplexity});
    }
    content.record.emplace_back("looks", std::move(looks));
    for (const auto& name : state.trained) {
        const auto& entry = state.network.weights().at(name);
        content.add(entry.name, entry.shape, entry.values.data());
    }
    content.add("moments.first.", state.trainer.optimizer().first());
    content.add("moments.second.", state.trainer.optimizer().second());
    content.add("average.", state.trainer.average());
    content.add("best.", done.best);
    content.add("losses", {done.steps}, done.losses.data());
    content.add("rows", {static_cast<Index>(rows.drawn.size())}, rows.drawn.data());
    return content;
}

template <class T>
RowPosition put_back(const Checkpoint& from, TuningState<T> state)
{
    Tuned<T>& done = state.done;
    done.steps = from.integer("step");
    done.tokens = from.integer("tokens");
    done.best_look = from.integer("best_look");
    for (const auto& look : from.at("looks").list()) {
        done.valid.emplace_back(look.list().at(0).integer(), look.list().at(1).number());
    }
    done.losses = from.values<double>("losses");
    for (const auto& name : state.trained) {
        auto& entry = state.network.weights().at(name);
        from.put_back(entry.name, entry.values.data(), entry.values.size());
    }
    from.put_back("moments.first.", state.trainer.optimizer().first());
    from.put_back("moments.second.", state.trainer.optimizer().second());
    from.put_back("average.", state.trainer.average());
    for (const auto& weight : models::network_weights(state.network.config())) {
        if (const std::string name = "best." + weight.name; from.tensors.count(name) > 0) {
            auto& entry = done.best.add(weight.name, weight.shape);
            from.put_back(name, entry.values.data(), entry.values.size());
        }
    }
    state.trainer.resume_at(done.steps);
    return {from.integer("pass"), from.integer("batch"), from.values<Index>("rows")};
}

template CheckpointContent checkpoint_of<float>(const TuningState<float>&, formats::Map, const RowPosition&);
template CheckpointContent checkpoint_of<double>(const TuningState<double>&, formats::Map, const RowPosition&);
template RowPosition put_back<float>(const Checkpoint&, TuningState<float>);
template RowPosition put_back<double>(const Checkpoint&, TuningState<double>);

}  // namespace stillhouse::adapters
