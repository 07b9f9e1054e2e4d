{% test bands_hold_members(model, levels) %}
{#
    The bands of a snapshot's levels and the conventions they are made of agree: the convention band
    is the range of its members, the inferred band holds all of its own. Levels without a band, and
    snapshots whose conventions are not derived yet, have nothing to compare.
#}
with conventions as (

    select * from {{ model }}

),

levels as (

    select * from {{ levels }}

),

ranges as (

    select
        underlying,
        event_at,
        model,
        min(flip_price) filter (where in_convention_band) as convention_lo,
        max(flip_price) filter (where in_convention_band) as convention_hi,
        min(flip_price) filter (where in_inferred_band) as inferred_lo,
        max(flip_price) filter (where in_inferred_band) as inferred_hi,
    from conventions
    group by underlying, event_at, model

),

final as (

    select
        levels.exposure_level_id,
        levels.flip_convention_lo,
        ranges.convention_lo,
        levels.flip_convention_hi,
        ranges.convention_hi,
        levels.flip_lo,
        ranges.inferred_lo,
        levels.flip_hi,
        ranges.inferred_hi,
    from levels
    inner join ranges
        on levels.underlying = ranges.underlying
        and levels.event_at = ranges.event_at
        and levels.model = ranges.model
    where levels.band_resamples > 0
        and not (
            levels.flip_convention_lo is not distinct from ranges.convention_lo
            and levels.flip_convention_hi is not distinct from ranges.convention_hi
            and coalesce(levels.flip_lo <= ranges.inferred_lo, true)
            and coalesce(levels.flip_hi >= ranges.inferred_hi, true)
        )

)

select * from final
{% endtest %}
