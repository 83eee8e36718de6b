// SPDX-License-Identifier: Apache-2.0
// Names of filters, and shares of them.
#include "tools/adapters/filters/filter_names.hpp"

#include "libcore/base/error.hpp"

namespace stillhouse::adapters {

std::string last_part(const std::string& name)
{
    const std::size_t dot = name.rfind('.');
    return dot == std::string::npos ? name : name.substr(dot + 1);
}

std::string parent(const std::string& name)
{
    const std::size_t dot = name.rfind('.');
    return dot == std::string::npos ? std::string() : name.substr(0, dot);
}

std::string realization_base(const std::string& filter)
{
    const std::string front = last_part(filter) == "filter" ? parent(filter) : filter;
    return front.empty() ? "ssm" : front + ".ssm";
}

bool is_result(const FilterRun& run, const std::string& name, const std::function<bool(const std::string&)>& is_filter)
{
    const std::string owner = parent(name);
    if (run.results.count(last_part(name)) != 0 && !owner.empty() && is_filter(owner)) {
        return true;
    }
    if (!run.drops_realizations || last_part(owner) != "ssm") {
        return false;
    }
    const std::string front = parent(owner);
    return is_filter(front.empty() ? "filter" : front + ".filter");
}

std::optional<formats::Share> ShardPlan::share(Index item, Index rows, Index group) const
{
    if (parts == 1) {
        return formats::Share{0, rows};
    }
    if (items == 1) {
        STILLHOUSE_CHECK(group >= 1 && rows % group == 0);
        const formats::Share groups = formats::share_of(rows / group, part, parts);
        return formats::Share{groups.first * group, groups.count * group};
    }
    const formats::Share mine = formats::share_of(items, part, parts);
    if (item < mine.first || item >= mine.first + mine.count) {
        return std::nullopt;
    }
    return formats::Share{0, rows};
}

void ShardPlan::mark(formats::TensorHeader& header, const formats::Share& share, Index rows) const
{
    if (parts == 1) {
        return;
    }
    if (items == 1) {
        formats::mark_rows(header, share.first, rows);
    } else {
        formats::mark_owned(header);
    }
}

ShardPlan plan_shards(const ArrayInput& input, ArrayInput* plan, const FilterRun& run,
                      const std::function<bool(const std::string&)>& counts,
                      const std::function<Index(const formats::TensorHeader&)>& rows)
{
    ShardPlan result{run.part, run.parts, 0};
    if (run.parts == 1) {
        return result;
    }
    if (plan == nullptr && input.arrays() == Index{1}) {
        result.items = 1;
        return result;
    }
    if (plan == nullptr) {
        throw_error(ErrorCode::bad_argument,
                    "--shard must know all filters before the first is worked on, which a pipe "
                    "does not tell; write the input to a file and name it");
    }
    Index tensors = 0;
    for (auto frame = plan->next(); frame != formats::StreamReader::Frame::end; frame = plan->next()) {
        if (frame != formats::StreamReader::Frame::tensor) {
            continue;
        }
        ++tensors;
        if (counts(plan->header().name)) {
            rows(plan->header());
            ++result.items;
        }
    }
    if (result.items == 0 && tensors == 1) {
        result.items = 1;                        // the only tensor is the filter, whatever its name
    }
    return result;
}

}  // namespace stillhouse::adapters
