// SPDX-License-Identifier: Apache-2.0
// A layer-wise training as a checkpoint, and back.
#include "tools/adapters/training/distillation_checkpoint.hpp"

namespace stillhouse::adapters {

namespace {

/// Calls visit(layer, its entry) for each weight of each mixer that is trained.
template <class T, class Visit>
void for_each_weight(const DistillationState<T>& state, Visit&& visit)
{
    for (Index layer = 0; layer < state.student.config().layers; ++layer) {
        if (state.trainer.optimizer(layer) == nullptr) {
            continue;
        }
        const std::string prefix = "layers." + std::to_string(layer) + ".mixer.";
        for (auto& entry : state.student.weights()) {
            if (entry.name.starts_with(prefix)) {
                visit(entry);
            }
        }
    }
}

}  // namespace

std::vector<std::pair<std::string, std::string>> same_distillation(const Checkpoint& from, const std::string& file)
{
    std::vector<std::pair<std::string, std::string>> same{{"teacher", "teacher"}, {"input", "input (see its history)"}};
    if (!file.empty() && !from.at("file").text().empty()) {
        same.emplace_back("file", "input");
    }
    return same;
}

FirstBatch first_batch(const Checkpoint& from)
{
    return {from.integer("first_rows"), from.integer("length")};
}

template <class T>
CheckpointContent checkpoint_of(const DistillationState<T>& state, formats::Map record, FirstBatch first)
{
    CheckpointContent content;
    const auto& done = state.done;
    content.step = done.steps;
    content.record = std::move(record);
    content.record.emplace_back("step", done.steps);
    content.record.emplace_back("tokens", done.tokens);
    content.record.emplace_back("epoch", done.position.epoch);
    content.record.emplace_back("batch", done.position.batch);
    content.record.emplace_back("row", done.position.row);
    content.record.emplace_back("first_rows", first.rows);
    content.record.emplace_back("length", first.length);
    formats::List steps, start;
    for (const auto& report : state.start) {
        start.emplace_back(formats::List{report.layer, report.replaced, report.explained_before,
                                         report.explained_after});
    }
    content.record.emplace_back("start", std::move(start));
    for_each_weight(state, [&](const auto& entry) { content.add(entry.name, entry.shape, entry.values.data()); });
    for (Index layer = 0; layer < state.student.config().layers; ++layer) {
        auto* optimizer = state.trainer.optimizer(layer);
        steps.emplace_back(optimizer != nullptr ? optimizer->steps() : 0);
        if (optimizer != nullptr) {
            content.add("moments.first.", optimizer->first());
            content.add("moments.second.", optimizer->second());
        }
    }
    content.record.emplace_back("layer_steps", std::move(steps));
    content.add("losses", {done.steps, state.student.config().layers}, done.losses.data());
    return content;
}

template <class T>
void put_back(const Checkpoint& from, DistillationState<T> state)
{
    auto& done = state.done;
    done.steps = from.integer("step");
    done.tokens = from.integer("tokens");
    done.position = {from.integer("epoch"), from.integer("batch"), from.integer("row")};
    done.losses = from.values<double>("losses");
    for (const auto& report : from.at("start").list()) {
        const formats::List& values = report.list();
        if (values.size() != 4) {
            throw Error(ErrorCode::bad_data, "attribute start: a record of 4 values is expected").within(from.name);
        }
        state.start.push_back({values[0].integer(), values[1].boolean(), values[2].number(), values[3].number()});
    }
    for_each_weight(state, [&](auto& entry) { from.put_back(entry.name, entry.values.data(), entry.values.size()); });
    const formats::List& steps = from.at("layer_steps").list();
    for (Index layer = 0; layer < state.student.config().layers; ++layer) {
        if (auto* optimizer = state.trainer.optimizer(layer)) {
            from.put_back("moments.first.", optimizer->first());
            from.put_back("moments.second.", optimizer->second());
            optimizer->resume_at(steps.at(static_cast<std::size_t>(layer)).integer());
        }
    }
    state.trainer.resume_at(done.steps);
}

template CheckpointContent checkpoint_of<float>(const DistillationState<float>&, formats::Map, FirstBatch);
template CheckpointContent checkpoint_of<double>(const DistillationState<double>&, formats::Map, FirstBatch);
template void put_back<float>(const Checkpoint&, DistillationState<float>);
template void put_back<double>(const Checkpoint&, DistillationState<double>);

}  // namespace stillhouse::adapters
